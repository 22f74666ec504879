// An HTTP receiver. The test sets its answer.
import { createServer, type Server } from "node:http";

export interface Received {
  readonly headers: Record<string, unknown>;
  readonly body: string;
}

export class Receiver {
  readonly requests: Received[] = [];
  status = 200;
  body = "taken";
  private server!: Server;
  url = "";

  static async start(): Promise<Receiver> {
    const receiver = new Receiver();
    receiver.server = createServer((request, answer) => {
      let body = "";
      request.on("data", (part: Buffer) => (body += part.toString()));
      request.on("end", () => {
        receiver.requests.push({ headers: request.headers, body });
        answer.writeHead(receiver.status, { "content-type": "text/plain" }).end(receiver.body);
      });
    });
    await new Promise<void>((done) => receiver.server.listen(0, "127.0.0.1", done));
    const address = receiver.server.address();
    receiver.url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/leads`;
    return receiver;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }
}
