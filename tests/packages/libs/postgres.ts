import postgres from "postgres";

export default async () => {
  const sql = postgres(process.env.PG!, { max: 3, onnotice: () => {} });
  const heard = new Promise(done => sql.listen("news", done).then(() => sql.notify("news", "hello")));
  const rows = await sql`select ${40}::int + ${2}::int as sum, ${["a", "b"]}::text[] as list`;
  const back = await sql.begin(async tx => {
    await tx`create table gone (n int)`;
    throw new Error("back");
  }).catch((e: Error) => e.message);
  const result = [rows[0], await heard, back, (await sql`select to_regclass('gone') as t`)[0].t];
  await sql.end();
  return result;
};
