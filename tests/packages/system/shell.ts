import { $ } from "bun";
import { join } from "node:path";

export default async () => {
  const at = join(process.env.DATA_DIR!, "shell");
  await $`mkdir -p ${at} && cd ${at} && echo one > a && cp a b && echo two >> b`;
  const failed = await $`ls ${at}/missing`.nothrow().quiet();
  return [await $`cat ${at}/b`.text(), (await $`ls ${at}`.text()).split("\n").sort(), failed.exitCode];
};
