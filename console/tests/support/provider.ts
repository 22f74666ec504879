// An identity provider (OpenID Connect) with one person, who agrees to everything at once.
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Json } from "./leadline";

interface Pending {
  readonly nonce: string;
  readonly challenge: string;
}

const CLIENT = "leadline";

export class Provider {
  person: Json = { sub: "8a1f", email: "ada@acme.example", groups: ["support"] };
  issuer = "";
  private readonly key: KeyObject = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  private readonly codes = new Map<string, Pending>();
  private server!: Server;

  static async start(): Promise<Provider> {
    const provider = new Provider();
    provider.server = createServer((request, answer) => provider.answer(request, answer));
    await new Promise<void>((done) => provider.server.listen(0, "127.0.0.1", done));
    const address = provider.server.address();
    provider.issuer = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
    return provider;
  }

  /** The arguments that make Leadline use this provider. */
  args(rules: string): string[] {
    return ["--oidc-issuer", this.issuer, "--oidc-client-id", CLIENT, "--oidc-groups", rules, "--oidc-name", "Acme"];
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }

  private answer(request: IncomingMessage, answer: ServerResponse): void {
    const url = new URL(request.url ?? "/", this.issuer);
    const json = (body: Json): void =>
      void answer.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
    switch (url.pathname) {
      case "/.well-known/openid-configuration":
        return json({
          issuer: this.issuer,
          authorization_endpoint: `${this.issuer}/authorize`,
          token_endpoint: `${this.issuer}/token`,
          jwks_uri: `${this.issuer}/keys`,
        });
      case "/keys":
        return json({
          keys: [{ ...createPublicKey(this.key).export({ format: "jwk" }), kid: "1", use: "sig", alg: "RS256" }],
        });
      case "/authorize":
        // A real provider shows a page, too: the browser leaves the site of Leadline, and a link leads back.
        answer.writeHead(200, { "content-type": "text/html" });
        return void answer.end(`<a href="${this.back(url.searchParams).replaceAll("&", "&amp;")}">Agree</a>`);
      case "/token": {
        let body = "";
        request.on("data", (part: Buffer) => (body += part.toString()));
        return void request.on("end", () => json({ id_token: this.token(new URLSearchParams(body)) }));
      }
      default:
        return void answer.writeHead(404).end();
    }
  }

  private back(query: URLSearchParams): string {
    const code = `code-${this.codes.size}`;
    this.codes.set(code, { nonce: query.get("nonce") ?? "", challenge: query.get("code_challenge") ?? "" });
    const back = new URL(query.get("redirect_uri") ?? "");
    back.searchParams.set("code", code);
    back.searchParams.set("state", query.get("state") ?? "");
    return back.href;
  }

  private token(form: URLSearchParams): string {
    const pending = this.codes.get(form.get("code") ?? "");
    const verifier = createHash("sha256")
      .update(form.get("code_verifier") ?? "")
      .digest("base64url");
    if (pending === undefined || pending.challenge !== verifier) return "";
    const now = Math.floor(Date.now() / 1_000);
    const claims = { ...this.person, iss: this.issuer, aud: CLIENT, iat: now, exp: now + 300, nonce: pending.nonce };
    const parts = [{ alg: "RS256", kid: "1" }, claims];
    const message = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
    return `${message}.${sign("sha256", Buffer.from(message), this.key).toString("base64url")}`;
  }
}
