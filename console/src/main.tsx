import { render } from "preact";
import { App } from "./app";
import { begin } from "./begin";
import { look } from "./api/health";
import { listenToKeys } from "./keys";
import { followLinks } from "./router";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts.css";

followLinks();
listenToKeys();
look();
void begin();
const root = document.getElementById("console");
if (root !== null) render(<App />, root);
