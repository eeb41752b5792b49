import mysql from "mysql2/promise";

export default async () => {
  const pool = mysql.createPool({ uri: process.env.MYSQL, connectionLimit: 3 });
  await pool.query("create table mysql2_things (id int auto_increment primary key, name varchar(20))");
  const [{ insertId }]: any = await pool.execute("insert into mysql2_things (name) values (?)", ["ä"]);
  const [rows] = await pool.execute("select id, name from mysql2_things where id = ?", [insertId]);
  await pool.query("drop table mysql2_things");
  const error = await pool.query("select nothing").catch((e: any) => e.code);
  await pool.end();
  return [rows, error];
};
