import { z } from "zod";

export default () => {
  const user = z.object({ name: z.string().min(2), mail: z.email(), age: z.coerce.number().int().optional() });
  const bad = user.safeParse({ name: "x", mail: "no" });
  return [user.parse({ name: "Jo", mail: "jo@example.org", age: "7" }), bad.error!.issues.map(i => i.path.join("."))];
};
