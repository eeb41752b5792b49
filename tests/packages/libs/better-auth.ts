import { Database } from "bun:sqlite";
import { join } from "node:path";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";

export default async () => {
  const options = {
    database: new Database(join(process.env.DATA_DIR!, "auth.sqlite")),
    baseURL: "http://app.localhost",
    secret: "0123456789abcdef0123456789abcdef",
    emailAndPassword: { enabled: true },
    telemetry: { enabled: false },
  };
  await (await getMigrations(options)).runMigrations();
  const auth = betterAuth(options);
  const body = { email: "jo@example.org", password: "correct horse", name: "Jo" };
  const { user } = await auth.api.signUpEmail({ body });
  const signed = await auth.api.signInEmail({ body, asResponse: true });
  const cookie = signed.headers.get("set-cookie")!.split(";")[0];
  const session = await auth.api.getSession({ headers: new Headers({ cookie }) });
  const wrong = await auth.api.signInEmail({ body: { ...body, password: "wrong horse" }, asResponse: true });
  return [user.email, session!.user.name, wrong.status];
};
