// The screens that the navigation, the palette and the keyboard lead to.
import type { DescMethod } from "@bufbuild/protobuf";
import { may } from "./api/access";
import { DeliveryService } from "./gen/leadline/v1/delivery_pb";

export interface ScreenEntry {
  readonly label: string;
  readonly path: readonly string[];
  /** The keys that lead there; empty if there are none. */
  readonly keys: string;
  /** The screen is offered to a key that may call this. */
  readonly needs: DescMethod;
}

export const SCREENS: readonly ScreenEntry[] = [
  { label: "Deliveries", path: ["deliveries"], keys: "g d", needs: DeliveryService.method.listDeliveries },
];

export const offered = (): ScreenEntry[] => SCREENS.filter(({ needs }) => may(needs));
