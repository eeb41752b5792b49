import { v4, v5, v7, validate, version } from "uuid";

export default () => [
  v5("steady", v5.URL),
  [v4(), v7()].map(id => [validate(id), version(id)]),
  v4() === v4(),
];
