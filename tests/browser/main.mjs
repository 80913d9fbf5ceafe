// Logins in a real browser: `main.mjs LOGS PLAIN_PORT PLAIN_SIMULATOR SECURE_PORT SECURE_SIMULATOR TLS_PORT`, under
// scripts/check-login. Two local hosts: one as a laptop has it, one behind TLS under a name, as in production.

import { after } from "node:test";

import { launch } from "./browser.mjs";
import { Service } from "./service.mjs";
import { Site } from "./site.mjs";
import attacks from "./attacks.mjs";
import logins from "./logins.mjs";
import pages from "./pages.mjs";
import targets from "./targets.mjs";

// Nothing here takes as long; what hangs is ended, and the browser ends with its pipe.
const LIMIT_MS = 240_000;
const watchdog = setTimeout(() => {
  console.error(`not done after ${LIMIT_MS / 1_000} s`);
  process.exit(1);
}, LIMIT_MS);
watchdog.unref();

const [logs, plainPort, plainSimulator, securePort, secureSimulator, tlsPort] = process.argv.slice(2);
const plain = await Service.ready({
  origin: `http://localhost:${plainPort}`,
  port: plainPort,
  simulatorPort: plainSimulator,
  dataDir: `${logs}/plain`,
});
const secure = await Service.ready({
  origin: `https://api.lark.test:${tlsPort}`,
  port: securePort,
  simulatorPort: secureSimulator,
  dataDir: `${logs}/secure`,
});
const portal = await Site.open();
const attacker = await Site.open();
const browser = await launch();
after(async () => {
  await browser.close();
  await Promise.all([portal.close(), attacker.close()]);
});

const world = { plain, secure, portal, attacker, browser };
for (const service of [plain, secure]) {
  // The platform knows this one callback; the service may send browsers to the portal below /done.
  await service.registerCallback();
  await service.setTargets([portal.url("/done")]);
}
logins(world);
targets(world);
attacks(world);
pages(world);
