// Clients of the API. Their calls carry the cookie of the session.
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { AccessService } from "../gen/leadline/v1/access_pb";
import { AuditService } from "../gen/leadline/v1/audit_pb";
import { DeliveryService } from "../gen/leadline/v1/delivery_pb";
import { JobService } from "../gen/leadline/v1/job_pb";
import { LeadService } from "../gen/leadline/v1/lead_pb";
import { ProblemService } from "../gen/leadline/v1/problem_pb";
import { RegistryService } from "../gen/leadline/v1/registry_pb";
import { RoutingService } from "../gen/leadline/v1/routing_pb";
import { StatusService } from "../gen/leadline/v1/status_pb";
import { look } from "./health";
import { ended, loggedIn } from "./session";

/** The timeout of a call: more than the five seconds that a dry run may take, but bearable for a person who waits. */
const TIMEOUT_MS = 20_000;

const withSession: Interceptor = (next) => async (request) => {
  const now = loggedIn.get();
  if (now.state === "in") request.header.set("x-leadline-csrf", now.session.csrf);
  try {
    return await next(request);
  } catch (error) {
    const { code } = ConnectError.from(error);
    if (code === Code.Unauthenticated) ended();
    if (code === Code.Unavailable || code === Code.Unknown || code === Code.DeadlineExceeded) look();
    throw error;
  }
};

const transport = createConnectTransport({
  baseUrl: location.origin,
  useBinaryFormat: true,
  defaultTimeoutMs: TIMEOUT_MS,
  interceptors: [withSession],
});

export const access = createClient(AccessService, transport);
export const audit = createClient(AuditService, transport);
export const deliveries = createClient(DeliveryService, transport);
export const jobs = createClient(JobService, transport);
export const leads = createClient(LeadService, transport);
export const problems = createClient(ProblemService, transport);
export const registry = createClient(RegistryService, transport);
export const routing = createClient(RoutingService, transport);
export const status = createClient(StatusService, transport);
