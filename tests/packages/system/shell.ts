import { $ } from "bun";
import { join } from "node:path";

export default async () => {
  const at = join(process.env.DATA_DIR!, "shell");
  await $`mkdir -p ${at} && cd ${at} && echo one > a && cp a b && echo two >> b && mkdir d && cp a b d && cp -r d e && cat a e/b > f`;
  const failed = await $`ls ${at}/missing`.nothrow().quiet();
  return [await $`cat ${at}/f`.text(), (await $`ls ${at}`.text()).split("\n").sort(), failed.exitCode];
};
