// Sentences, filters in addresses, and permissions, without a browser.
import { create } from "@bufbuild/protobuf";
import { expect, test } from "@playwright/test";
import { allowed } from "../src/api/access";
import { fromQuery, matches, toApi } from "../src/filters";
import { Rule } from "../src/gen/leadline/v1/access_pb";
import { DeliverySchema, DeliveryStatus } from "../src/gen/leadline/v1/delivery_pb";
import { about } from "../src/sentence";
import { span, stamp } from "../src/time";
import { traceLink } from "../src/trace";

const delivery = (fields: object) => create(DeliverySchema, { destinationName: "CRM", leadId: "ada", ...fields });

test("one sentence describes the state of a delivery", () => {
  const now = Date.UTC(2026, 0, 1, 12);
  const is = (fields: object, off?: "disabled") => about(delivery(fields), off, now);
  expect(is({ status: DeliveryStatus.SUCCEEDED, attempts: 1, httpStatusCode: 200 })).toBe(
    "CRM accepted this delivery on the first attempt: it answered 200.",
  );
  expect(
    is({
      status: DeliveryStatus.FAILED,
      failureReason: "exhausted",
      attempts: 8,
      httpStatusCode: 999,
      errorKind: "timeout",
    }),
  ).toBe(
    "CRM gave no answer to attempt 8: no answer came in time, and the delivery failed after 8 attempts. Nothing more is sent unless it is retried.",
  );
  expect(is({ status: DeliveryStatus.FAILED, failureReason: "anonymised" })).toContain("its lead was anonymised");
  expect(is({ status: DeliveryStatus.HELD }, "disabled")).toBe(
    "CRM is disabled, so this delivery is held. It is sent when CRM is enabled.",
  );
  const retrying = {
    status: DeliveryStatus.RETRYING,
    attempts: 2,
    httpStatusCode: 503,
    nextAttemptAt: stamp(now + 90_000),
  };
  expect(is(retrying)).toMatch(/^CRM answered 503 to attempt 2\. The next attempt is at .*, in 1 minute 30 seconds\.$/);
  expect(is({ status: DeliveryStatus.PENDING })).toBe("This delivery waits for its first attempt at CRM.");
});

test("a filter means the same in addresses, requests and changes", () => {
  const query =
    "status=failed&status=held&type=email.*&answer=none&lead=ada&from=2026-01-01T00:00:00Z&status=nonsense&reason=";
  const filter = fromQuery(new URLSearchParams(query));
  expect(filter.statuses).toEqual(["failed", "held"]);
  expect(toApi(filter, "acme")).toMatchObject({
    accountId: "acme",
    eventType: "email.*",
    httpStatusCode: 999,
    leadId: "ada",
    statuses: [DeliveryStatus.FAILED, DeliveryStatus.HELD],
  });
  const fitting = {
    status: DeliveryStatus.HELD,
    eventType: "email.open",
    httpStatusCode: 999,
    requestedAt: stamp(Date.UTC(2026, 1)),
  };
  expect(matches(filter, delivery(fitting))).toBe(true);
  const others = [
    { status: DeliveryStatus.SUCCEEDED },
    { eventType: "emails.open" },
    { httpStatusCode: 503 },
    { leadId: "grace" },
    { requestedAt: stamp(Date.UTC(2025, 1)) },
  ];
  for (const other of others)
    expect(matches(filter, delivery({ ...fitting, ...other })), Object.keys(other).join()).toBe(false);
});

test("an answer is a status, a class of statuses, or none", () => {
  const of = (answer: string) => fromQuery(new URLSearchParams({ answer }));
  const is = (httpStatusCode: number, httpStatusClass: number) => ({ httpStatusCode, httpStatusClass });
  expect(toApi(of("503"), "acme")).toMatchObject(is(503, 0));
  expect(toApi(of("5xx"), "acme")).toMatchObject(is(0, 5));
  expect(toApi(of("none"), "acme")).toMatchObject(is(999, 0));
  expect(toApi(of("6xx"), "acme")).toMatchObject(is(0, 0));
  const found = (answer: string) =>
    [0, 200, 404, 499, 500, 599, 999].filter((httpStatusCode) => matches(of(answer), delivery({ httpStatusCode })));
  expect(found("5xx")).toEqual([500, 599]);
  expect(found("4xx")).toEqual([404, 499]);
  expect(found("none")).toEqual([999]);
});

test("only actions that the key permits are allowed", () => {
  const key = (scopes: string[], account = "acme", client = "") => ({ id: "k", name: "k", scopes, account, client });
  expect(allowed(key(["read"]), Rule.READ)).toBe(true);
  expect(allowed(key(["read"]), Rule.OPERATE)).toBe(false);
  expect(allowed(key(["operate"]), Rule.READ)).toBe(true);
  expect(allowed(key(["admin"]), Rule.PUBLISH)).toBe(true);
  expect(allowed(key(["publish"]), Rule.READ)).toBe(false);
  expect(allowed(key(["admin"]), Rule.PLATFORM_READ)).toBe(false);
  expect(allowed(key(["admin"], ""), Rule.PLATFORM_READ)).toBe(true);
  expect(allowed(key([]), Rule.ANY_KEY)).toBe(true);
  expect(allowed(key(["admin"]), Rule.PAYLOAD)).toBe(false);
  expect(allowed(key(["read"], "acme", "north"), Rule.READ)).toBe(false);
  expect(allowed(key(["read"], "acme", "north"), Rule.READ, true)).toBe(true);
});

test("a span of time has at most two units", () => {
  expect([0, 999, 1_500, 61_000, 3_600_000, 90_061_000].map(span)).toEqual([
    "0 ms",
    "999 ms",
    "1.5 s",
    "1 minute 1 second",
    "1 hour",
    "1 day 1 hour",
  ]);
});

test("the link of a trace is a web address with the id, or there is none", () => {
  const id = "0af7651916cd43dd8448eb211c80319c";
  expect(traceLink("https://traces.example/t/{trace_id}?at={trace_id}", id)).toBe(
    `https://traces.example/t/${id}?at=${id}`,
  );
  for (const [template, trace] of [
    ["", id],
    ["https://traces.example/{trace_id}", ""],
    ["https://traces.example/{trace_id}", `${id}/../x`],
    ["https://traces.example/{trace_id}", "<script>"],
    ["javascript:alert('{trace_id}')", id],
    ["//traces.example/{trace_id}", id],
  ] as const)
    expect(traceLink(template, trace)).toBeUndefined();
});
