import { eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { integer, pgTable, text } from "drizzle-orm/pg-core";

const things = pgTable("drizzle_things", { id: integer().primaryKey(), name: text() });

export default async () => {
  const db = drizzle(process.env.PG!);
  await db.execute(sql`create table drizzle_things (id int primary key, name text)`);
  await db.insert(things).values([{ id: 1, name: "a" }, { id: 2, name: "b" }]);
  const rows = await db.select().from(things).where(eq(things.name, "b"));
  await db.execute(sql`drop table drizzle_things`);
  await (db as any).$client.end();
  return rows;
};
