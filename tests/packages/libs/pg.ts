import pg from "pg";

export default async () => {
  const pool = new pg.Pool({ connectionString: process.env.PG, max: 4 });
  await pool.query("create temp table never (n int)");
  const client = await pool.connect();
  await client.query("create temp table t (id serial, data jsonb, at timestamptz)");
  await client.query("insert into t (data, at) values ($1, $2)", [{ a: [1, 2] }, new Date(0)]);
  const { rows } = await client.query("select id, data, at from t");
  client.release();
  const sums = await Promise.all([1, 2, 3, 4, 5].map(n => pool.query("select $1::int * 2 as n", [n])));
  const error = await pool.query("select 1/0").catch(e => e.code);
  const big = await pool.query("select repeat('x', 3000000) as x");
  await pool.end();
  return [rows, sums.map(({ rows }) => rows[0].n), error, big.rows[0].x.length];
};
