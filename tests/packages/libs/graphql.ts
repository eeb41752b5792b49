import { buildSchema, graphql } from "graphql";

export default async () => {
  const schema = buildSchema("type Query { add(a: Int!, b: Int!): Int! }");
  const rootValue = { add: ({ a, b }: { a: number; b: number }) => a + b };
  const good = await graphql({ schema, rootValue, source: "{ add(a: 40, b: 2) }" });
  const bad = await graphql({ schema, rootValue, source: "{ nothing }" });
  return [good.data, bad.errors!.length];
};
