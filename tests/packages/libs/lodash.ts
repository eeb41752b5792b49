import _ from "lodash";

export default () => [
  _.chunk([1, 2, 3, 4, 5], 2),
  _.groupBy(["one", "two", "three"], "length"),
  _.template("hello <%= name %>")({ name: "jo" }),
];
