import { Database } from "bun:sqlite";
import { join } from "node:path";
import { desc, eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/bun-sqlite";
import { int, sqliteTable, text } from "drizzle-orm/sqlite-core";

const notes = sqliteTable("notes", { id: int().primaryKey({ autoIncrement: true }), text: text().notNull() });

export default async () => {
  const file = new Database(join(process.env.DATA_DIR!, "drizzle.sqlite"));
  file.run("PRAGMA journal_mode = WAL");
  const db = drizzle(file);
  db.run(sql`create table notes (id integer primary key autoincrement, text text not null)`);
  await db.insert(notes).values([{ text: "a" }, { text: "b" }, { text: "c" }]);
  await db.update(notes).set({ text: "B" }).where(eq(notes.text, "b"));
  let rolled = "";
  try {
    db.transaction(tx => {
      tx.delete(notes).run();
      throw new Error("back");
    });
  } catch (error: any) {
    rolled = error.message;
  }
  const rows = await db.select().from(notes).orderBy(desc(notes.id));
  file.close();
  return [rolled, rows];
};
