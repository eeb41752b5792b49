import { join } from "node:path";
import { createClient } from "@libsql/client";

/** A native addon that writes a database file by itself. */
export default async () => {
  const db = createClient({ url: `file:${join(process.env.DATA_DIR!, "lib.sqlite")}` });
  await db.batch(["create table t (n integer)", "insert into t values (40), (2)"], "write");
  const { rows } = await db.execute("select sum(n) as sum from t");
  db.close();
  return rows[0].sum;
};
