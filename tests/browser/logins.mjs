// What a login is for: it ends well, or the user says no.

import assert from "node:assert/strict";
import test from "node:test";

import { assertRefused } from "./browser.mjs";

const LIMIT = { timeout: 60_000 };
/** The platform's code for an authorization code that was used before. */
const CODE_USED = 20065;

export default function logins({ plain, secure, portal, browser }) {
  for (const [service, where] of [[plain, "over HTTP"], [secure, "over HTTPS"]]) {
    test(`a user logs in ${where}, and the service has their token`, LIMIT, async (t) => {
      const user = await service.newUser();
      await service.assertNoLogin(user);
      const profile = await browser.profile(t);
      const tab = await profile.tab();

      const asked = await tab.open(service.begin());
      assert.equal(new URL(asked.url).origin, service.simulator);
      assert.match(asked.text, new RegExp(`The app ${service.appId} wants to act for you`));
      const [cookie, ...others] = await profile.loginCookies(service);
      assert.deepEqual(others, []);
      assertBound(cookie, service);

      const done = await tab.decide(user);
      assert.equal(done.status, 200);
      assert.match(done.text, /^Logged in\n/);
      assert.ok(done.text.includes(`(${user.open_id}) is logged in to the app ${service.appId}.`), done.text);
      assert.doesNotMatch(done.text, /no lasting access/);
      assert.deepEqual(await profile.loginCookies(service), []);

      const token = await service.tokenOf(user);
      await profile.assertNoSecret([token, service.appSecret, service.key]);
      // The code is in the address of this page. It opens nothing any more, here or at the platform.
      const code = new URL(done.url).searchParams.get("code");
      assert.equal(await exchangeError(service, code), CODE_USED);
      assert.ok(!(await tab.page.content()).includes(code));
      assert.deepEqual(await tab.page.evaluate(() => [document.cookie, localStorage.length]), ["", 0]);
      assert.deepEqual(profile.console, []);
      await profile.assertOnLoopbackOnly();
    });
  }

  for (const path of ["/done", "/done/deep/er?tab=2#part"]) {
    test(`the browser comes back to ${path}`, LIMIT, async (t) => {
      const user = await secure.newUser();
      const profile = await browser.profile(t);
      const tab = await profile.tab();
      await tab.open(secure.begin({ redirect_to: portal.url(path) }));
      const done = await tab.decide(user);

      const wanted = new URL(portal.url(path));
      wanted.searchParams.append("login", "ok");
      wanted.searchParams.append("open_id", user.open_id);
      assert.equal(done.url, wanted.href);
      assert.equal(done.text, "Here you are");
      // Neither the platform's page nor the callback is told to the portal, nor kept to go back to.
      const [visit] = portal.visitsOf(wanted.pathname).slice(-1);
      assert.equal(visit.headers.referer, undefined);
      assert.equal(await tab.page.evaluate(() => document.referrer), "");
      assert.doesNotMatch((await tab.history()).join("\n"), /[?&]code=/);
      assert.deepEqual(await profile.loginCookies(secure), []);
      await profile.assertNoSecret([await secure.tokenOf(user), secure.appSecret, secure.key]);
      await profile.assertOnLoopbackOnly();
    });
  }

  test("a user who refuses is not logged in, and sees so", LIMIT, async (t) => {
    const user = await plain.newUser();
    const profile = await browser.profile(t);
    const tab = await profile.tab();
    await tab.open(plain.begin());
    const refused = await tab.decide(user, "refuse");
    assertRefused(refused, "login_refused", 403);
    assert.match(refused.text, /the user did not consent/);

    await tab.open(plain.begin({ redirect_to: portal.url("/done/refused") }));
    const told = await tab.decide(user, "refuse");
    assert.equal(told.url, portal.url("/done/refused?login=failed&code=login_refused"));
    await plain.assertNoLogin(user);
  });

  test("a login that exists stays when its user refuses another one", LIMIT, async (t) => {
    const user = await plain.newUser();
    const tab = await (await browser.profile(t)).tab();
    await tab.open(plain.begin());
    await tab.decide(user);
    const token = await plain.tokenOf(user);
    await tab.open(plain.begin());
    assertRefused(await tab.decide(user, "refuse"), "login_refused", 403);
    assert.equal(await plain.tokenOf(user), token);
  });

  test("two tabs log in at the same time", LIMIT, async (t) => {
    const users = [await plain.newUser(), await plain.newUser()];
    const profile = await browser.profile(t);
    const tabs = [await profile.tab(), await profile.tab()];
    await Promise.all(tabs.map((tab) => tab.open(plain.begin())));
    assert.equal((await profile.loginCookies(plain)).length, 2);
    const done = await Promise.all(tabs.map((tab, index) => tab.decide(users[index])));
    for (const [index, user] of users.entries()) {
      assert.ok(done[index].text.includes(`(${user.open_id}) is logged in`), done[index].text);
      await plain.tokenOf(user);
    }
    assert.deepEqual(await profile.loginCookies(plain), []);
  });
}

/** The cookie is for this host alone, for ten minutes, and for no script. */
function assertBound(cookie, service) {
  const { hostname, protocol } = new URL(service.origin);
  const isSecure = protocol === "https:";
  assert.equal(cookie.name.startsWith("__Host-"), isSecure, cookie.name);
  assert.deepEqual(
    { domain: cookie.domain, path: cookie.path, httpOnly: cookie.httpOnly, secure: cookie.secure, sameSite: cookie.sameSite },
    { domain: hostname, path: "/", httpOnly: true, secure: isSecure, sameSite: "Lax" },
  );
  const left = cookie.expires - Date.now() / 1_000;
  assert.ok(left > 540 && left <= 601, `${left} s`);
}

/** What the platform says to somebody who has the app's secret and tries `code` again. */
async function exchangeError(service, code) {
  const response = await fetch(`${service.simulator}/open-apis/authen/v2/oauth/token`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      grant_type: "authorization_code",
      client_id: service.appId,
      client_secret: service.appSecret,
      code,
      redirect_uri: service.callback,
    }),
  });
  return (await response.json()).code;
}
