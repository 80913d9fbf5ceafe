// The pages themselves: nothing runs in them, nothing frames them, nothing keeps them.

import assert from "node:assert/strict";
import test from "node:test";

import { assertRefused } from "./browser.mjs";

const LIMIT = { timeout: 60_000 };
const PAYLOAD = `<script>alert(1)</script><img src=x onerror="alert(2)">'"&amp;`;

export default function pages({ plain, secure, attacker, browser }) {
  test("every page forbids scripts, frames and copies", LIMIT, async () => {
    const { consent, cookie } = await plain.beginAsProgram();
    const callback = await plain.decide(consent, await plain.newUser());
    const headers = { accept: "text/html", cookie };
    const done = await fetch(callback.replace(plain.origin, plain.local), { headers, redirect: "manual" });
    const seen = [
      [200, { status: done.status, headers: done.headers, text: await done.text() }],
      [400, await plain.page("/v1/oauth/callback?state=x&error=%3Cscript%3E")],
      [400, await plain.page("/v1/oauth/authorize?app_id=%3Cscript%3E")],
      [404, await plain.page("/v1/oauth/authorize?app_id=cli_nobody")],
    ];
    for (const [status, page] of seen) {
      assert.equal(page.status, status, page.text);
      assert.match(page.headers.get("content-type"), /^text\/html/);
      const policy = page.headers.get("content-security-policy");
      for (const rule of ["default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]) {
        assert.ok(policy.includes(rule), policy);
      }
      assert.doesNotMatch(policy, /script-src/);
      assert.equal(page.headers.get("cache-control"), "no-store");
      assert.equal(page.headers.get("x-frame-options"), "DENY");
      assert.equal(page.headers.get("x-content-type-options"), "nosniff");
      assert.equal(page.headers.get("referrer-policy"), "no-referrer");
      assert.doesNotMatch(page.text, /<script|<form|https?:/);
    }
    const begun = await fetch(plain.begin().replace(plain.origin, plain.local), { redirect: "manual" });
    assert.equal(begun.headers.get("cache-control"), "no-store");
    assert.equal(begun.headers.get("referrer-policy"), "no-referrer");
  });

  test("what others wrote is shown as text", LIMIT, async (t) => {
    const profile = await browser.profile(t);
    const tab = await profile.tab();
    // A parameter's name, which the page repeats.
    const unknown = await tab.open(plain.begin({ [PAYLOAD]: "1" }));
    assertRefused(unknown, "invalid_argument");
    await assertHarmless(tab, PAYLOAD);
    // The platform's reason why not.
    const error = new URL(await plain.decide((await tab.open(plain.begin())).url, await plain.newUser(), "refuse"));
    error.searchParams.set("error", PAYLOAD);
    assertRefused(await tab.open(error.href), "login_refused", 403);
    await assertHarmless(tab, "an unknown reason");
    // The platform's words about a code.
    const description = { status: 400, body: { code: 20003, error: "invalid_grant", error_description: PAYLOAD } };
    description.body = JSON.stringify(description.body);
    await plain.control("POST", "/faults", {
      faults: [{ endpoint: "authen.oauth_token", count: 1, action: { answer: description } }],
    });
    await tab.open(plain.begin());
    const failed = await tab.decide(await plain.newUser());
    await plain.control("DELETE", "/faults");
    assertRefused(failed, "login_refused", 403);
    await assertHarmless(tab, "<script>alert(1)</script>");
    // A user's name.
    const named = await plain.control("POST", `/users?app_id=${plain.appId}`, { name: PAYLOAD });
    await tab.open(plain.begin());
    assert.equal((await tab.decide(named)).status, 200);
    await assertHarmless(tab, PAYLOAD);
    assert.deepEqual(profile.console.filter((line) => line.startsWith("dialog")), []);
  });

  test("a script that got into a page would not run, and no page shows in a frame", LIMIT, async (t) => {
    const profile = await browser.profile(t);
    const tab = await profile.tab();
    const address = `${secure.callback}?state=x`;
    assertRefused(await tab.open(address));
    const ran = await tab.page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "window.ran = true";
      document.head.append(script);
      return window.ran === true;
    });
    assert.equal(ran, false);
    assert.match(profile.console.join("\n"), /Content Security Policy/);

    await tab.open(attacker.show("/frame", `<iframe src="${address}"></iframe>`));
    await tab.page.waitForLoadState("networkidle");
    const [, frame] = tab.page.frames();
    assert.doesNotMatch(await frame.content(), /The login cannot be finished/);
    assert.match(profile.console.join("\n"), /frame/i);
  });

  /** The page shows `text` as it was written, and has no element that a page of ours has not. */
  async function assertHarmless(tab, text) {
    const shown = await tab.text();
    assert.ok(shown.includes(text), shown);
    assert.equal(await tab.page.locator("script, img, iframe, form, a, svg, [onerror]").count(), 0);
  }
}
