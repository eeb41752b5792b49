import { SQL } from "bun";

/** Not a package: Bun's own clients. */
export default async () => {
  const pg = new SQL(process.env.PG!);
  const my = new SQL(process.env.MYSQL!);
  const result = [await pg`select ${"x"}::text as x`, await my`select ${20} + 22 as n`];
  await Promise.all([pg.close(), my.close()]);
  return result.map(rows => rows[0]);
};
