"""See wake.sh. All take turns in every round; a peer's clock starts when its process has been made."""
import argparse, json, os, shutil, signal, socket, statistics, subprocess, sys, tempfile, time
from urllib.request import Request, urlopen

BUN = os.path.realpath("node_modules/.bin/bun")
STEADY = os.environ["STEADY_BIN"]
APPS = {
    "hello": ({}, 'export default { port: Number(process.env.PORT), fetch: () => new Response("hello") };'),
    "hono": (
        {"hono": "4.13.19"},
        """import { Hono } from "hono";
import { cors } from "hono/cors";
const app = new Hono();
app.use(cors());
app.get("/", (c) => c.text("hello"));
export default { port: Number(process.env.PORT), fetch: app.fetch };""",
    ),
    "elysia": (
        {"elysia": "1.4.30"},
        """import { Elysia, t } from "elysia";
new Elysia()
  .get("/", () => "hello")
  .post("/greet", ({ body }) => body, { body: t.Object({ name: t.String() }) })
  .listen(Number(process.env.PORT));""",
    ),
}
PEERS = {"workerd": "1", "deno": "2"}
WORKERD = """using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (modules = [(name = "worker", esModule = embed "worker.js")], compatibilityDate = "2024-01-01"))],
  sockets = [(name = "http", address = "127.0.0.1:%d", http = (), service = "main")],
);"""
HELLO = 'export default { fetch: () => new Response("hello") };'


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def first_byte(port, host, began):
    """Milliseconds from `began` to the first byte of a 200; asks until somebody listens."""
    ask = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as s:
                s.sendall(ask)
                head = s.recv(64)
                ms = (time.perf_counter() - began) * 1e3
                while s.recv(65536):
                    pass
        except OSError:
            head = b""
        if head:
            assert head.startswith(b"HTTP/1.1 200"), head
            return ms
        if time.perf_counter() - began > 20:
            sys.exit(f"nobody answers for {host}")
        time.sleep(0.0002)


def by_hand(command, folder, port):
    pid = subprocess.Popen(
        command, cwd=folder, env={"PATH": os.environ["PATH"], "HOME": folder, "PORT": str(port), "NODE_ENV": "production"},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    ms = first_byte(port, f"localhost:{port}", time.perf_counter())
    pid.kill()
    pid.wait()
    return ms


class Steady:
    def __init__(self, folder):
        self.data, self.port = os.path.join(folder, "data"), free_port()
        local = lambda *args, text="": subprocess.run(
            [STEADY, "--data", self.data, *args], input=text, text=True, check=True, capture_output=True
        ).stdout
        local("user", "add", "dev", "--admin", "--password-stdin", text="correct horse battery staple\n")
        self.token = local("token", "add", "dev", "--name", "bench").strip()
        self.log = open(os.path.join(folder, "server.log"), "w")
        self.server = subprocess.Popen(
            [STEADY, "serve", "--data", self.data, "--listen", f"127.0.0.1:{self.port}", "--domain", "localhost"],
            stdout=self.log, stderr=self.log,
        )
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                time.sleep(0.05)

    def state(self, app):
        ask = Request(f"http://127.0.0.1:{self.port}/api/v1/projects/dev/{app}/status")
        ask.add_header("Authorization", f"Bearer {self.token}")
        ask.add_header("Host", f"localhost:{self.port}")
        return json.load(urlopen(ask))

    def push(self, app, folder):
        git = lambda *args: subprocess.run(
            ["git", "-c", "user.name=Bench", "-c", "user.email=bench@example.com", *args], cwd=folder, check=True, capture_output=True
        )
        git("init", "-q", "-b", "main")
        git("add", "index.ts", "package.json", "steady.json")
        git("commit", "-q", "-m", "First")
        began = time.perf_counter()
        git("push", "-q", f"http://dev:{self.token}@localhost:{self.port}/dev/{app}.git", "main")
        return (time.perf_counter() - began) * 1e3

    def wake(self, app):
        while self.state(app)["state"] != "asleep":
            time.sleep(0.05)
        # As most do: after a while, when others wait ready again.
        time.sleep(1.2)
        return first_byte(self.port, f"{app}.localhost:{self.port}", time.perf_counter())

    def stop(self):
        self.server.send_signal(signal.SIGTERM)
        self.server.wait()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--rounds", type=int, default=30)
    args.add_argument("--only", default=",".join(APPS))
    args.add_argument("--no-peers", action="store_true", help="leave workerd and deno out")
    given = args.parse_args()
    names = given.only.split(",")
    folder = tempfile.mkdtemp(prefix="steady-bench-")
    os.chmod(folder, 0o711)
    print(f"load {os.getloadavg()}, {os.cpu_count()} cores, Linux {os.uname().release}, {given.rounds} rounds")
    steady = Steady(folder)
    try:
        for name in names:
            at = os.path.join(folder, name)
            os.mkdir(at)
            needs, code = APPS[name]
            files = {"index.ts": code, "package.json": json.dumps({"dependencies": needs}), "steady.json": '{ "idle_seconds": 1 }'}
            for path, text in files.items():
                open(os.path.join(at, path), "w").write(text)
            subprocess.run([BUN, "install", "--silent"], cwd=at, check=True)
            print(f"push of {name}: {steady.push(name, at):.0f} ms")
        peers = {}
        if not given.no_peers:
            at = os.path.join(folder, "peers")
            os.mkdir(at)
            npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", *(f"{name}@{version}" for name, version in PEERS.items())]
            subprocess.run(npm, cwd=at, check=True)
            ports = {name: free_port() for name in PEERS}
            open(os.path.join(at, "worker.js"), "w").write(HELLO)
            open(os.path.join(at, "workerd.capnp"), "w").write(WORKERD % ports["workerd"])
            find = lambda name: subprocess.run(
                f"find node_modules -name {name} -type f -size +20M | head -1", shell=True, cwd=at, capture_output=True, text=True
            ).stdout.strip()
            peers["workerd serve"] = ([os.path.join(at, find("workerd")), "serve", "workerd.capnp"], at, ports["workerd"])
            deno = [os.path.join(at, find("deno")), "serve", "--quiet", "--host", "127.0.0.1", "--port", str(ports["deno"]), "worker.js"]
            peers["deno serve"] = (deno, at, ports["deno"])
        seen = {}
        for _ in range(given.rounds):
            for name in names:
                seen.setdefault(("Steady", name), []).append(steady.wake(name))
                seen.setdefault(("bun index.ts", name), []).append(by_hand([BUN, "index.ts"], os.path.join(folder, name), free_port()))
            for peer, (command, at, port) in peers.items():
                seen.setdefault((peer, "hello"), []).append(by_hand(command, at, port))
        boots = {name: steady.state(name) for name in names}
    finally:
        steady.stop()
        if os.environ.get("KEEP"):
            print(folder)
        else:
            shutil.rmtree(folder)
    for (who, name), all in seen.items():
        all.sort()
        quarter = lambda part: all[int(part * (len(all) - 1))]
        mine = seen.get(("Steady", name))
        ratio = statistics.median(mine) / statistics.median(all)
        print(
            f"{name:7} {who:14} median {statistics.median(all):6.1f} ms   min {all[0]:6.1f}   p25 {quarter(.25):6.1f}   p75 {quarter(.75):6.1f}"
            f"   p95 {quarter(.95):6.1f}" + ("" if who == "Steady" else f"   Steady/it {ratio:.2f} (p25 {sorted(mine)[len(mine) // 4] / quarter(.25):.2f})")
        )
    for name, status in boots.items():
        print(f"{name}: {json.dumps(status.get('process', {}).get('boots_ms'))}")


main()
