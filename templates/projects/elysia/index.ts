import { Elysia, t } from "elysia";

const rolls: number[] = [];

new Elysia()
  .get("/", () => "GET /roll/6 rolls a die, GET /rolls shows what came up.\n")
  .get(
    "/roll/:sides",
    ({ params: { sides } }) => {
      const roll = 1 + Math.floor(Math.random() * sides);
      rolls.push(roll);
      return { sides, roll };
    },
    // A path outside this schema is answered with 422, and `sides` is a number above.
    { params: t.Object({ sides: t.Integer({ minimum: 2, maximum: 100 }) }) },
  )
  .get("/rolls", () => ({ count: rolls.length, last: rolls.slice(-10) }))
  .listen(process.env.PORT ?? 3000);
