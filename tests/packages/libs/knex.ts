import knex from "knex";

export default async () => {
  const db = knex({ client: "pg", connection: process.env.PG });
  await db.schema.createTable("knex_things", t => (t.increments("id"), t.string("name")));
  await db("knex_things").insert([{ name: "a" }, { name: "b" }]);
  const rows = await db("knex_things").where("name", ">", "a").select("id", "name");
  await db.schema.dropTable("knex_things");
  await db.destroy();
  return rows;
};
