// Clients that ask again and again: HTTP/1.1 on kept connections, on new ones, and HTTP/2. Each sees what a careful
// client would: a connection that says it closes is not used again, and a break after a request was sent is a failure.
import { connect as connect2 } from "node:http2";
import { connect } from "node:net";
import { now } from "../lib.mjs";

export class Load {
  answered = 0;
  failures = [];
  /** Refused before anything of them was looked at, and asked again. */
  again = 0;
  /** The longest wait of a request since this was last set to 0, in ms. */
  slowest = 0;
  #on = true;

  constructor(port, host, clients) {
    this.port = port;
    this.host = host;
    const kinds = [() => this.#kept(), () => this.#fresh(), () => this.#http2()];
    this.ended = Promise.all(Array.from({ length: clients }, (_, n) => kinds[n % kinds.length]()));
  }

  async end() {
    this.#on = false;
    await this.ended;
  }

  /** Counts one request. */
  async #count(kind, ask) {
    const began = now();
    try {
      const status = await ask();
      if (status !== 200) throw new Error(`status ${status}`);
      this.answered++;
    } catch (error) {
      // Nothing of it was looked at, which HTTP/2 tells for certain (RFC 9113 section 8.7): every client asks again.
      if (/REFUSED_STREAM/.test(error.message)) return void this.again++;
      this.failures.push(`${kind}: ${error.message}`);
    }
    this.slowest = Math.max(this.slowest, now() - began);
  }

  async #kept() {
    let socket;
    while (this.#on) {
      let closes = true;
      await this.#count("kept", async () => {
        if (!socket || socket.destroyed || socket.readableEnded) socket = await opened(this.port);
        const head = await exchange(socket, `GET / HTTP/1.1\r\nhost: ${this.host}\r\n\r\n`);
        closes = /\r\nconnection: close/i.test(head);
        return Number(head.slice(9, 12));
      });
      if (closes) {
        socket?.destroy();
        socket = undefined;
      }
    }
    socket?.destroy();
  }

  async #fresh() {
    while (this.#on) {
      await this.#count("fresh", async () => {
        const socket = await opened(this.port);
        const head = await exchange(socket, `GET / HTTP/1.1\r\nhost: ${this.host}\r\nconnection: close\r\n\r\n`);
        socket.destroy();
        return Number(head.slice(9, 12));
      });
    }
  }

  async #http2() {
    let session;
    while (this.#on) {
      await this.#count("http2", async () => {
        if (!session || session.destroyed || session.closed || session.leaves) {
          session?.close();
          session = await opened2(this.port);
        }
        return new Promise((resolve, reject) => {
          const stream = session.request({ ":path": "/", ":authority": this.host });
          let status;
          stream.on("response", (headers) => (status = headers[":status"]));
          stream.on("error", reject);
          stream.on("end", () => resolve(status));
          stream.resume();
        });
      });
    }
    session?.close();
  }
}

const opened = (port) =>
  new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => resolve(socket));
    socket.setNoDelay(true);
    socket.once("error", reject);
  });

const opened2 = (port) =>
  new Promise((resolve, reject) => {
    const session = connect2(`http://127.0.0.1:${port}`, () => resolve(session));
    session.on("goaway", () => (session.leaves = true));
    session.on("error", reject);
  });

/** Sends a request and gives back the head of the answer once its body has come too. */
const exchange = (socket, request) =>
  new Promise((resolve, reject) => {
    let text = "";
    const done = (settle, value) => {
      socket.removeAllListeners("data").removeAllListeners("end").removeAllListeners("error");
      socket.on("error", () => {});
      settle(value);
    };
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) return;
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, end))?.[1] ?? 0);
      if (text.length - end - 4 >= length) done(resolve, text.slice(0, end));
    });
    socket.on("end", () => done(reject, new Error(`closed after ${text.length} bytes`)));
    socket.on("error", (error) => done(reject, error));
    socket.write(request);
  });
