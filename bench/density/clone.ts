// Ten thousand deployed apps in a minute: rows and folders of one that was deployed are copied, the server being
// down. What never changes in them is hard-linked.  bun clone.ts DATA COUNT
import { Database } from "bun:sqlite";
import { cpSync, linkSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

const [data, count] = [Bun.argv[2]!, Number(Bun.argv[3])];
const db = new Database(join(data, "steady.db"));
type Row = Record<string, string | number | null>;

const one = (table: string, where: string, value: unknown) =>
  db.query(`SELECT * FROM ${table} WHERE ${where} = ?`).get(value as never) as Row;
const insert = (table: string, row: Row) => {
  const names = Object.keys(row);
  const marks = names.map(() => "?").join(", ");
  db.query(`INSERT INTO ${table} (${names.join(", ")}) VALUES (${marks})`).run(...(Object.values(row) as never[]));
};
const last = (table: string) => (db.query(`SELECT max(id) AS id FROM ${table}`).get() as { id: number }).id;

const project = one("projects", "name", "seed");
const app = one("apps", "project_id", project.id);
const deploy = one("deploys", "id", app.live_deploy);
const version = one("versions", "id", deploy.version_id);
const at = { projects: last("projects"), apps: last("apps"), versions: last("versions"), deploys: last("deploys") };

const repo = (id: number) => join(data, "repos", String(Math.floor(id / 1000)), `${id}.git`);
const code = (app: number, version: number) => join(data, "apps", String(app), "versions", String(version));
const link = (from: string, to: string) => {
  mkdirSync(dirname(to), { recursive: true, mode: 0o711 });
  mkdirSync(to, { mode: statSync(from).mode });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) link(source, target);
    else if (entry.isFile()) linkSync(source, target);
    else cpSync(source, target, { verbatimSymlinks: true });
  }
};

db.transaction(() => {
  for (let n = 1; n <= count; n++) {
    const id = { project: at.projects + n, app: at.apps + n, version: at.versions + n, deploy: at.deploys + n };
    const name = `app-${n}`;
    insert("projects", { ...project, id: id.project, name });
    insert("apps", { ...app, id: id.app, project_id: id.project, host: name, live_deploy: id.deploy });
    insert("hosts", { label: name, app_id: id.app, current: 1 });
    insert("versions", { ...version, id: id.version, app_id: id.app });
    insert("deploys", { ...deploy, id: id.deploy, app_id: id.app, version_id: id.version });
    link(repo(Number(project.id)), repo(id.project));
    link(code(Number(app.id), Number(version.id)), code(id.app, id.version));
  }
})();
db.close();
