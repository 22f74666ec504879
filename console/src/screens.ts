// The screens that the navigation, the palette and the keyboard offer.
import type { DescMethod } from "@bufbuild/protobuf";
import { may } from "./api/access";
import { AccessService } from "./gen/leadline/v1/access_pb";
import { AuditService } from "./gen/leadline/v1/audit_pb";
import { DeliveryService } from "./gen/leadline/v1/delivery_pb";
import { JobService } from "./gen/leadline/v1/job_pb";
import { LeadService } from "./gen/leadline/v1/lead_pb";
import { ProblemService } from "./gen/leadline/v1/problem_pb";
import { RegistryService } from "./gen/leadline/v1/registry_pb";
import { StatusService } from "./gen/leadline/v1/status_pb";

export interface ScreenEntry {
  readonly label: string;
  readonly path: readonly string[];
  /** The keys that open it; empty if there are none. */
  readonly keys: string;
  /** The method that a key must be allowed to call for this screen to be offered. */
  readonly needs: DescMethod;
  /** Whether it is a screen of the account. The navigation has one entry for all of these. */
  readonly inAccount?: boolean;
}

export const SCREENS: readonly ScreenEntry[] = [
  { label: "Problems", path: [], keys: "g p", needs: ProblemService.method.listProblems },
  { label: "Deliveries", path: ["deliveries"], keys: "g d", needs: DeliveryService.method.listDeliveries },
  { label: "Leads", path: ["leads"], keys: "g l", needs: LeadService.method.listLeads },
  { label: "Destinations", path: ["destinations"], keys: "g t", needs: RegistryService.method.listDestinations },
  { label: "Account", path: ["account"], keys: "g c", needs: RegistryService.method.getAccount, inAccount: true },
  {
    label: "Interfaces",
    path: ["interfaces"],
    keys: "g i",
    needs: RegistryService.method.listInterfaces,
    inAccount: true,
  },
  { label: "Clients", path: ["clients"], keys: "", needs: RegistryService.method.listClients, inAccount: true },
  { label: "API users", path: ["api-users"], keys: "", needs: RegistryService.method.listApiUsers, inAccount: true },
  { label: "Tokens", path: ["tokens"], keys: "", needs: RegistryService.method.listTokens, inAccount: true },
  { label: "Opt-outs", path: ["opt-outs"], keys: "", needs: RegistryService.method.listOptOuts, inAccount: true },
  { label: "Jobs", path: ["jobs"], keys: "g j", needs: JobService.method.listJobs },
  { label: "Audit log", path: ["audit"], keys: "g a", needs: AuditService.method.listAuditLog },
  { label: "API keys", path: ["keys"], keys: "g k", needs: AccessService.method.listKeys },
  { label: "Status", path: ["status"], keys: "g s", needs: StatusService.method.getStatus },
];

export const offered = (): ScreenEntry[] => SCREENS.filter(({ needs }) => may(needs));

/** The screens of the account. */
export const inAccount = (): ScreenEntry[] => offered().filter((screen) => screen.inAccount);

/** The entries of the navigation. Of the screens of the account, only the first one is an entry. */
export function navigation(): ScreenEntry[] {
  const [first] = inAccount();
  return offered().filter((screen) => !screen.inAccount || screen === first);
}
