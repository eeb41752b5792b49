// `bun job.ts NAME`: one exercise as a job; its answer is the last line.
const { default: exercise } = await import(`./${process.argv[2]}.ts`);
console.log(JSON.stringify(await exercise()));
process.exit(0);
