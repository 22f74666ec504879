// Starts the program, with its own broker and database in a temporary folder.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../../..");
const PROGRAM = process.env.LEADLINE_PROGRAM ?? join(ROOT, "target/debug/leadline");
const NATS_SERVER = process.env.LEADLINE_NATS_SERVER ?? join(ROOT, ".tools/bin/nats-server");
const START_MS = 60_000;

export type Json = Record<string, unknown>;

export async function until<T>(
  what: string | (() => string),
  ms: number,
  condition: () => Promise<T | undefined>,
): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    const value = await condition();
    if (value !== undefined) return value;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${typeof what === "string" ? what : what()}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

export async function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => done(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

export class Leadline {
  http = "";
  key = "";
  /** The file of the read model. */
  database = "";
  private process!: ChildProcess;

  private constructor(
    private readonly folder: string,
    private readonly args: readonly string[],
  ) {}

  static async start(...args: string[]): Promise<Leadline> {
    const leadline = new Leadline(await mkdtemp(join(tmpdir(), "leadline-console-")), args);
    await leadline.run();
    return leadline;
  }

  /** Starts the program at a fixed address. Links in mails have this address, and it stays the same after `halt`. */
  static async startAtFixedAddress(...args: string[]): Promise<Leadline> {
    const address = `127.0.0.1:${await freePort()}`;
    return Leadline.start("--http", address, "--public-url", `http://${address}`, ...args);
  }

  /** Starts the program, for the first time or after `halt`. */
  async run(): Promise<void> {
    const { args } = this;
    const data = join(this.folder, "data");
    const file = join(data, "addresses.json");
    await rm(file, { force: true });
    const http = args.includes("--http") ? [] : ["--http", "127.0.0.1:0"];
    const child = spawn(
      PROGRAM,
      [
        "up",
        "--data-dir",
        data,
        "--grpc",
        "127.0.0.1:0",
        "--allow-plain-http",
        "--allow-network",
        "127.0.0.0/8",
      ].concat(http, ...args),
      { env: { ...process.env, LEADLINE_NATS_SERVER: NATS_SERVER }, stdio: ["ignore", "pipe", "pipe"] },
    );
    let output = "";
    const append = (text: Buffer): void => void (output += text.toString());
    child.stdout.on("data", append);
    child.stderr.on("data", append);
    const addresses = await until(
      () => `leadline up\n${output}`,
      START_MS,
      async () => {
        if (child.exitCode !== null) throw new Error(`leadline up ended:\n${output}`);
        return readFile(file, "utf8").catch(() => undefined);
      },
    );
    const found = JSON.parse(addresses) as { http: string; database: string };
    this.http = found.http;
    this.key = (await readFile(join(data, "admin.key"), "utf8")).trim();
    this.database = found.database.replace(/^sqlite:/, "").replace(/\?.*$/, "");
    this.process = child;
  }

  /** The texts of the mails to this address in the outbox. */
  async mails(address: string): Promise<string[]> {
    const outbox = join(this.folder, "data", "outbox");
    const all = await readdir(outbox).catch(() => []);
    const files = all.filter((name) => name.endsWith(".eml") && name.includes(address));
    return Promise.all(files.map(async (name) => plain(await readFile(join(outbox, name), "latin1"))));
  }

  async stop(): Promise<void> {
    await this.halt();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Stops the program and keeps its data. */
  async halt(): Promise<void> {
    const ended = new Promise((done) => this.process.once("exit", done));
    if (this.process.exitCode === null) {
      this.process.kill("SIGTERM");
      await ended;
    }
  }

  /** Calls a method of the API with the key of the administrator, such as "JobService/GetJob". */
  async call<T = Json>(method: string, message: Json, key = this.key): Promise<T> {
    const answer = await fetch(`${this.http}/leadline.v1.${method}`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify(message),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method}: ${answer.status} ${text}`);
    return JSON.parse(text) as T;
  }
}

/** The text part of a mail with two parts (RFC 2045). */
function plain(mail: string): string {
  const [, boundary = ""] = /boundary="?([^";\r\n]+)/.exec(mail) ?? [];
  const part = mail.split(`--${boundary}`).find((one) => /^content-type: text\/plain/im.test(one)) ?? "";
  const body = part.slice(part.indexOf("\r\n\r\n") + 4);
  const [, encoding = ""] = /^content-transfer-encoding: (\S+)/im.exec(part) ?? [];
  if (encoding === "base64") return Buffer.from(body, "base64").toString();
  if (encoding !== "quoted-printable") return body;
  const byte = (_: string, hex: string): string => String.fromCharCode(parseInt(hex, 16));
  return body.replace(/=\r\n/g, "").replace(/=([0-9A-F]{2})/g, byte);
}

/** A broker that a test may kill. */
export class Broker {
  private process: ChildProcess | undefined;

  private constructor(
    private readonly port: number,
    private readonly folder: string,
  ) {}

  static async start(): Promise<Broker> {
    const broker = new Broker(await freePort(), await mkdtemp(join(tmpdir(), "leadline-nats-")));
    await broker.run();
    return broker;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  async run(): Promise<void> {
    const args = ["-a", "127.0.0.1", "-p", String(this.port), "-js", "-sd", this.folder];
    const child = spawn(NATS_SERVER, args, { stdio: ["ignore", "ignore", "pipe"] });
    this.process = child;
    await new Promise<void>((done, failed) => {
      child.once("exit", (code) => failed(new Error(`nats-server ended with ${code}`)));
      child.stderr?.on("data", (text: Buffer) => text.toString().includes("Server is ready") && done());
    });
  }

  async kill(): Promise<void> {
    const child = this.process;
    if (child === undefined || child.exitCode !== null) return;
    child.removeAllListeners("exit");
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGKILL");
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Locks an SQLite file, so that no other process can write. The returned function releases the lock. */
export async function lock(file: string): Promise<() => Promise<void>> {
  const program = [
    "import sqlite3, sys",
    "database = sqlite3.connect(sys.argv[1], isolation_level=None)",
    "database.execute('BEGIN IMMEDIATE')",
    "print('locked', flush=True)",
    "sys.stdin.read()",
  ].join("\n");
  const child = spawn("python3", ["-c", program, file], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((done) => child.once("exit", done));
  await new Promise<void>((done, failed) => {
    child.stdout.once("data", () => done());
    child.once("exit", (code) => failed(new Error(`python3 ended with ${code}`)));
  });
  return async () => {
    child.stdin.end();
    await ended;
  };
}
