if (process.argv[2] === "ipc") process.send({ from: "child" });
else process.stdout.write(`${process.argv[2]}:${process.argv[2] === "a" ? await Bun.stdin.text() : ""}`);
