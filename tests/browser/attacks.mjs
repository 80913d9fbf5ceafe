// Callbacks that are not the end of this browser's own login: forged, replayed, foreign, fixed beforehand.

import assert from "node:assert/strict";
import test from "node:test";

import { assertRefused } from "./browser.mjs";

const LIMIT = { timeout: 60_000 };

/** `callback` with another state. */
function withState(callback, state) {
  const url = new URL(callback);
  url.searchParams.delete("state");
  if (state !== undefined) url.searchParams.append("state", state);
  return url.href;
}

const stateOf = (callback) => new URL(callback).searchParams.get("state");

/** `text` with its character at `position` exchanged. */
const changed = (text, position) =>
  text.slice(0, position) + (text[position] === "A" ? "B" : "A") + text.slice(position + 1);

export default function attacks({ plain, secure, portal, attacker, browser }) {
  test("a forged state is refused, and the login can be finished all the same", LIMIT, async (t) => {
    const user = await secure.newUser();
    const profile = await browser.profile(t);
    const tab = await profile.tab();
    const callback = await secure.decide((await tab.open(secure.begin())).url, user);
    const other = await secure.decide((await tab.open(secure.begin())).url, user);
    const state = stateOf(callback);
    const [id, secret] = state.split(".");
    const forgeries = {
      "no state": undefined,
      "an empty state": "",
      "another id": `${changed(id, 3)}.${secret}`,
      "another secret": `${id}.${changed(secret, 7)}`,
      "a secret cut short": state.slice(0, -1),
      "no secret": `${id}.`,
      "the id alone": id,
      "another attempt's secret": `${id}.${stateOf(other).split(".")[1]}`,
      "a very long state": `${id}.${"x".repeat(4_000)}`,
    };
    for (const [what, forged] of Object.entries(forgeries)) {
      const seen = await tab.open(withState(callback, forged));
      assertRefused(seen);
      assert.match(seen.text, /begin again/, what);
    }
    assertRefused(await tab.open(`${callback}&state=${state}`), "invalid_argument");
    await secure.assertNoLogin(user);
    assert.equal((await profile.loginCookies(secure)).length, 2);

    assert.match((await tab.open(callback)).text, /^Logged in\n/);
    await secure.tokenOf(user);
  });

  test("a callback works once", LIMIT, async (t) => {
    const user = await secure.newUser();
    const profile = await browser.profile(t);
    const tab = await profile.tab();
    await tab.open(secure.begin());
    const { url } = await tab.decide(user);
    const token = await secure.tokenOf(user);
    assertRefused(await tab.reload());
    assertRefused(await (await profile.tab()).open(url));
    assertRefused(await (await (await browser.profile(t)).tab()).open(url));
    assert.equal(await secure.tokenOf(user), token);
  });

  test("of two tabs with one callback at the same moment, one logs in", LIMIT, async (t) => {
    const user = await plain.newUser();
    const profile = await browser.profile(t);
    const tabs = [await profile.tab(), await profile.tab()];
    const callback = await plain.decide((await tabs[0].open(plain.begin())).url, user);
    const seen = await Promise.all(tabs.map((tab) => tab.open(callback)));
    assert.deepEqual(seen.map((page) => page.status).sort(), [200, 400]);
    await plain.tokenOf(user);
  });

  test("without the cookie a login is not finished", LIMIT, async (t) => {
    const user = await secure.newUser();
    const profile = await browser.profile(t);
    const tab = await profile.tab();
    const callback = await secure.decide((await tab.open(secure.begin())).url, user);
    const fresh = await (await (await browser.profile(t)).tab()).open(callback);
    assertRefused(fresh);
    assert.match(fresh.text, /this browser did not begin the login/);

    const kept = await profile.context.cookies();
    await profile.context.clearCookies();
    assertRefused(await tab.open(callback));
    const [wrong] = kept.map((cookie) => ({ ...cookie, value: changed(cookie.value, 0) }));
    await profile.context.addCookies([wrong]);
    assertRefused(await tab.open(callback));
    await secure.assertNoLogin(user);

    // It was the cookie alone.
    await profile.context.addCookies(kept);
    assert.match((await tab.open(callback)).text, /^Logged in\n/);
    await secure.tokenOf(user);
  });

  test("who follows somebody else's link to the log-in page and consents is not logged in", LIMIT, async (t) => {
    const victim = await secure.newUser();
    const [hers, theirs] = [await browser.profile(t), await browser.profile(t)];
    const begun = await (await theirs.tab()).open(secure.begin({ redirect_to: portal.url("/done/lured") }));
    const lure = attacker.show("/lure", `<a href="${begun.url.replaceAll("&", "&amp;")}">Win a prize</a>`);

    const tab = await hers.tab();
    await tab.open(lure);
    const asked = await tab.follow();
    assert.equal(asked.url, begun.url);
    assertRefused(await tab.decide(victim));
    await secure.assertNoLogin(victim);
    assert.deepEqual(portal.visitsOf("/done/lured"), []);
    assert.deepEqual(await hers.loginCookies(secure), []);
    assert.doesNotMatch((await hers.went()).join("\n"), /login=ok/);
  });

  test("who is sent to the end of somebody else's login is not logged in as them", LIMIT, async (t) => {
    const [mallory, victim] = [await secure.newUser(), await secure.newUser()];
    const target = portal.url("/done/fixed");
    const { consent, cookie } = await secure.beginAsProgram({ redirect_to: target });
    const callback = await secure.decide(consent, mallory);
    const link = callback.replaceAll("&", "&amp;");
    const lure = attacker.show("/fixed", `<a href="${link}">Your invoice</a>`);
    const frames = attacker.show("/frames", `<img src="${link}"><iframe src="${link}"></iframe>`);

    const profile = await browser.profile(t);
    const tab = await profile.tab();
    await tab.open(lure);
    assertRefused(await tab.follow());
    await tab.open(frames);
    // With a login of her own under way it is still not hers.
    const own = await secure.decide((await tab.open(secure.begin({ redirect_to: target }))).url, victim);
    assertRefused(await tab.open(callback));
    // A neighbouring host cannot plant the cookie.
    await plant(profile, cookie);
    assertRefused(await tab.open(callback));
    await secure.assertNoLogin(mallory);
    assert.deepEqual(portal.visitsOf("/done/fixed"), []);

    assert.equal((await tab.open(own)).url, `${target}?login=ok&open_id=${victim.open_id}`);
    await secure.tokenOf(victim);
    await secure.assertNoLogin(mallory);
  });

  test("a code of another login is of no use in one's own", LIMIT, async (t) => {
    const [mallory, victim] = [await secure.newUser(), await secure.newUser()];
    const tab = await (await browser.profile(t)).tab();
    const theirs = await (await (await browser.profile(t)).tab()).open(secure.begin());
    const stolen = new URL(await secure.decide(theirs.url, victim)).searchParams.get("code");
    const callback = new URL(await secure.decide((await tab.open(secure.begin())).url, mallory));
    callback.searchParams.set("code", stolen);
    assertRefused(await tab.open(callback.href), "login_refused", 403);
    await secure.assertNoLogin(victim);
    await secure.assertNoLogin(mallory);
  });

  /** A page on a host beside the service's sets `cookie` for both of them, with and without the prefix. */
  async function plant(profile, cookie) {
    const page = await profile.context.newPage();
    const beside = secure.origin.replace("api.", "evil.");
    await page.goto(`${beside}/health/live`);
    await page.evaluate((pair) => {
      for (const written of [pair, pair.replace("__Host-", "")]) {
        document.cookie = `${written}; Path=/; Secure; Domain=lark.test`;
        document.cookie = `${written}; Path=/v1/oauth/callback; Secure; Domain=lark.test`;
      }
    }, cookie);
    const planted = await profile.context.cookies(secure.callback);
    // The one without the prefix got there: the attack is a real one.
    assert.ok(planted.some(({ name, domain }) => domain === ".lark.test" && name.startsWith("lark-login-")));
    assert.ok(!planted.some(({ name, domain }) => domain === ".lark.test" && name.startsWith("__Host-")));
    await page.close();
  }
}
