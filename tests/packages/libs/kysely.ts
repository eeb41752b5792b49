import { Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";

export default async () => {
  const db = new Kysely<any>({ dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: process.env.PG }) }) });
  await db.schema.createTable("kysely_things").addColumn("name", "text").execute();
  await db.insertInto("kysely_things").values([{ name: "a" }, { name: "b" }]).execute();
  const row = await db.selectFrom("kysely_things").select(sql<number>`count(*)::int`.as("n")).executeTakeFirst();
  await db.schema.dropTable("kysely_things").execute();
  await db.destroy();
  return row;
};
