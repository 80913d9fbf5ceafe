// Where the browser is sent after a login: the app's redirect targets or below one, and nowhere else.

import assert from "node:assert/strict";
import test from "node:test";

import { assertRefused } from "./browser.mjs";

export default function targets({ plain, portal, attacker, browser }) {
  const { host, port } = new URL(portal.origin);
  const wrong = [
    "",
    "/done",
    "//evil.example/done",
    `//${host}/done`,
    "https://evil.example/",
    `${attacker.origin}/done`,
    `https://${host}/done`,
    `http://localhost:${port}/done`,
    `http://${host}.evil.example/done`,
    `http://127.0.0.1.evil.example:${port}/done`,
    `http://${host}@evil.example/done`,
    `http://user@${host}/done`,
    `http://user:password@${host}/done`,
    `http://${host}\\@evil.example/done`,
    `http://evil.example\\@${host}/done`,
    `http:\\\\evil.example\\done`,
    `http://${host}/done/../admin`,
    `http://${host}/done/%2e%2E/admin`,
    `http://${host}/done\\..\\admin`,
    `http://${host}/done/..%2fadmin`,
    `http://${host}/done/..;/admin`,
    `http://${host}/done/%252e%252e%252fadmin`,
    `http://${host}/donee`,
    `javascript:alert(document.domain)//${host}/done`,
    `java\tscript:alert(1)`,
    "data:text/html,<script>alert(1)</script>",
  ];

  test("the browser is sent nowhere but to the app's targets", { timeout: 120_000 }, async (t) => {
    const profile = await browser.profile(t);
    const tab = await profile.tab();
    for (const target of wrong) {
      const address = plain.begin({ redirect_to: target });
      const seen = await tab.open(address);
      assert.equal(seen.url, address, target);
      assertRefused(seen, "invalid_argument");
      assert.match(seen.text, /redirect_to must be one of the app's redirect_targets/, target);
    }
    for (const told of ["login=ok", "open_id=ou_somebody", "a=b&code=1"]) {
      const seen = await tab.open(plain.begin({ redirect_to: portal.url(`/done?${told}`) }));
      assertRefused(seen, "invalid_argument");
      assert.match(seen.text, /redirect_to must not have a parameter login, open_id or code/, told);
    }
    const twice = `${plain.begin({ redirect_to: portal.url("/done") })}&redirect_to=${attacker.origin}`;
    assertRefused(await tab.open(twice), "invalid_argument");

    const origins = new Set((await profile.went()).map((url) => new URL(url).origin));
    assert.deepEqual([...origins], [plain.origin]);
    assert.deepEqual(await profile.loginCookies(plain), []);
    assert.deepEqual(profile.console.filter((line) => line.startsWith("dialog")), []);
    assert.deepEqual(attacker.visits, []);
  });
}
