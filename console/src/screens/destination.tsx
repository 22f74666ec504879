// One destination: its state in words, its latest attempts, and its settings.
import { useAccount, useThings } from "../account";
import { may } from "../api/access";
import { deliveries, registry } from "../api/clients";
import { type Loaded, useLoad } from "../api/load";
import { isOff, stateSentence } from "../destination";
import { type DestinationEvent, DeliveryService, EventLevel } from "../gen/leadline/v1/delivery_pb";
import { JobService } from "../gen/leadline/v1/job_pb";
import { ProblemService } from "../gen/leadline/v1/problem_pb";
import { type Destination, RegistryService } from "../gen/leadline/v1/registry_pb";
import { sentence } from "../api/trouble";
import { useStore } from "../store";
import { warned } from "../warnings";
import { type LivePages, useLivePages, useReadAgain } from "../live/list";
import { change, to, usePlace } from "../router";
import { lasting, millis, span } from "../time";
import { Answer, Button, Notice, Time } from "../ui/basics";
import { List, New } from "../ui/list";
import { Nothing, Shown } from "../ui/states";
import { Live } from "./deliveries";
import { JobSheet } from "./deliveries/retry-sheet";
import { DeleteDestination, Disable, Enable, Recover, SendTest } from "./destination/actions";
import { Changes } from "./destination/changes";
import { Health } from "./destination/health";
import { Settings } from "./destination/settings";
import { AssignToken, RotateToken } from "./destination/token";
import { DestinationState } from "./destinations";

export function DestinationScreen({ id }: { id: string }) {
  const accountId = useAccount();
  const loaded = useLoad(`destination ${accountId} ${id}`, (signal) =>
    registry.getDestination({ accountId, destinationId: id }, { signal }),
  );
  return (
    <Shown of={loaded} what="the destination">
      {(destination) => <Known destination={destination} loaded={loaded} />}
    </Shown>
  );
}

function Known({ destination, loaded }: { destination: Destination; loaded: Loaded<Destination> }) {
  const { accountId, destinationId, deactivated } = destination;
  const attempts = useLivePages<DestinationEvent>({
    key: `events ${destinationId}`,
    watched: { accountId, destinationId },
    load: async (pageToken, signal) => {
      const page = await deliveries.listDestinationEvents({ accountId, destinationId, pageToken }, { signal });
      return { items: page.events, next: page.nextPageToken };
    },
    id: ({ attempt, deliveryId }) => attempt?.attemptId ?? deliveryId,
    at: ({ attempt }) => millis(attempt?.startedAt) ?? 0,
    // A failure may have deactivated the destination.
    heard: useReadAgain(loaded),
  });
  return (
    <>
      <div class="title">
        <h1>{destination.name || destinationId}</h1>
        <DestinationState of={destination} />
        <Live watching={attempts.watching} />
      </div>
      <p class="matter" aria-live="polite">
        {stateSentence(destination)}
      </p>
      <Warnings of={destination} />
      {deactivated === undefined || deactivated.suggestedAction === "" ? null : (
        <p class="advice">{deactivated.suggestedAction}</p>
      )}
      {deactivated === undefined || deactivated.deliveryId === "" ? null : (
        <p>
          <a href={to(["deliveries", deactivated.deliveryId])}>The delivery that caused it</a>
        </p>
      )}
      <Actions destination={destination} />
      {may(ProblemService.method.getDestinationHealth) ? <Health of={destination} /> : null}
      <div class="actions">
        <h2>Latest attempts</h2>
        <New list={attempts} />
      </div>
      <Attempts list={attempts} />
      <h2>Settings</h2>
      <Settings of={destination} />
      <Changes of={destination} />
      <Open destination={destination} reload={loaded.reload} />
    </>
  );
}

function Warnings({ of: { destinationId } }: { of: Destination }) {
  const now = useStore(warned);
  if (now?.destinationId !== destinationId) return null;
  return (
    <Notice kind="warn">
      {now.texts.map((text) => (
        <p key={text}>{sentence(text)}</p>
      ))}
      <Button onClick={() => warned.set(undefined)}>I have read it</Button>
    </Notice>
  );
}

function Actions({ destination }: { destination: Destination }) {
  const { destinationId, tokenId } = destination;
  const open = (action: string): void => change({ do: action });
  const { enableDestination, disableDestination, updateDestination, deleteDestination, assignToken, rotateToken } =
    RegistryService.method;
  const off = isOff(destination);
  return (
    <div class="actions">
      {off && may(enableDestination) ? (
        <Button kind="primary" onClick={() => open("enable")}>
          Enable …
        </Button>
      ) : null}
      {!off && may(DeliveryService.method.sendTestDelivery) ? (
        <Button onClick={() => open("test")}>Send a test …</Button>
      ) : null}
      {may(JobService.method.recoverDestination) ? (
        <Button onClick={() => open("recover")}>Recover since …</Button>
      ) : null}
      {!off && may(disableDestination) ? <Button onClick={() => open("disable")}>Disable …</Button> : null}
      {may(updateDestination) ? (
        <a class="button plain" href={to(["destinations", destinationId, "edit"])}>
          Edit
        </a>
      ) : null}
      {may(assignToken) ? <Button onClick={() => open("assign")}>Assign a token …</Button> : null}
      {tokenId !== "" && may(rotateToken) ? <Button onClick={() => open("rotate")}>Rotate the secret …</Button> : null}
      {may(deleteDestination) ? (
        <Button kind="danger" onClick={() => open("delete")}>
          Delete …
        </Button>
      ) : null}
      <a href={to(["deliveries"], { destination: destinationId })}>Its deliveries</a>
    </div>
  );
}

/** The dialog that the address names. */
function Open({ destination, reload }: { destination: Destination; reload: () => void }) {
  const { query } = usePlace();
  const things = useThings();
  const close = (): void => change({ do: undefined, job: undefined, of: undefined }, { replace: true });
  const changed = (): void => {
    reload();
    things.reload();
  };
  const job = query.get("job");
  if (job !== null) return <JobSheet id={job} close={close} />;
  const props = { destination, changed, close };
  switch (query.get("do")) {
    case "enable":
      return <Enable {...props} />;
    case "disable":
      return <Disable {...props} />;
    case "test":
      return <SendTest {...props} />;
    case "recover":
      return <Recover {...props} />;
    case "assign":
      return <AssignToken {...props} />;
    case "rotate":
      return destination.tokenId === "" ? null : <RotateToken {...props} />;
    case "delete":
      return <DeleteDestination {...props} />;
    default:
      return null;
  }
}

function Attempts({ list }: { list: LivePages<DestinationEvent> }) {
  return (
    <List
      pages={list}
      what="attempts"
      caption="The latest attempts, the newest first"
      nothing={<Nothing text="There is no attempt yet." />}
      id={({ attempt, deliveryId }) => attempt?.attemptId ?? deliveryId}
      columns={[
        {
          title: "Time",
          cell: ({ attempt, deliveryId }) => (
            <a class="row-link" href={to(["deliveries", deliveryId])}>
              <Time ms={millis(attempt?.startedAt)} />
            </a>
          ),
        },
        { title: "Level", cell: ({ level }) => <Level of={level} /> },
        {
          title: "Answer",
          cell: ({ attempt }) => <Answer code={attempt?.httpStatusCode ?? 0} errorKind={attempt?.errorKind} />,
        },
        {
          title: "Said",
          cell: ({ attempt }) => (
            <span class="said" title={attempt?.webhookResponse}>
              {attempt?.webhookResponse}
            </span>
          ),
        },
        { title: "Lead", cell: ({ leadId }) => <a href={to(["leads", leadId])}>{leadId}</a> },
        { title: "Event type", cell: ({ eventType }) => eventType },
        { title: "Attempt", number: true, cell: ({ attempt }) => attempt?.number },
        { title: "Took", cell: ({ attempt }) => span(lasting(attempt?.duration) ?? 0) },
      ]}
    />
  );
}

const LEVELS: Record<EventLevel, readonly [label: string, kind: string, means: string]> = {
  [EventLevel.UNSPECIFIED]: ["Unknown", "", "this console does not know the level"],
  [EventLevel.ERROR]: ["Error", "bad", "the attempt failed and deactivated the destination"],
  [EventLevel.SUCCESS]: ["Success", "good", "the receiver accepted the delivery"],
  [EventLevel.DEBUG]: ["Debug", "warn", "the attempt failed and did not deactivate the destination"],
};

function Level({ of }: { of: EventLevel }) {
  const [label, kind, means] = LEVELS[of] ?? LEVELS[EventLevel.UNSPECIFIED];
  return (
    <span class={`status ${kind}`} title={means}>
      {label}
    </span>
  );
}
