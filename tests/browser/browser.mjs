// The browser: profiles that have nothing in common, and all that they saw.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";

const { chromium } = createRequire(import.meta.url)("playwright-core");

/** For one step of a person: generous, since machines are busy. */
const STEP_MS = 15_000;
const LOOPBACK = /^(127\.0\.0\.1|localhost|([a-z]+\.)?lark\.test)$/;

export async function launch() {
  const browser = await chromium.launch({
    executablePath: process.env.LOGIN_BROWSER,
    timeout: 60_000,
    // Nothing leaves this machine: names lead to it or nowhere. Playwright itself adds a new profile folder, and switches
    // off the sandbox (which root cannot have), updates, sync and everything else in the background.
    args: [
      "--headless=new",
      "--disable-gpu",
      "--disable-quic",
      "--no-proxy-server",
      "--host-resolver-rules=MAP *.lark.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    ],
  });
  return { profile: (t) => Profile.open(browser, t), close: () => browser.close() };
}

/** A profile with no cookies, in which everything is recorded. */
export class Profile {
  #pending = [];
  #texts = [];
  /** Each request: `url`, `referer`, `isPage`. */
  requests = [];
  console = [];

  static async open(browser, t) {
    const profile = new Profile();
    // The certificate in front of the secure host is made for the run.
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    t.after(() => context.close());
    context.setDefaultTimeout(STEP_MS);
    // What a page that was left again had to say cannot always be read any more; of the last one it can.
    const record = (seen) => profile.#pending.push(seen.catch(() => {}));
    context.on("request", (request) => record(profile.#request(request)));
    context.on("response", (response) => record(profile.#response(response)));
    context.on("console", (message) => profile.console.push(message.text()));
    context.on("weberror", (error) => profile.console.push(String(error.error())));
    context.on("dialog", (dialog) => {
      profile.console.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    profile.context = context;
    return profile;
  }

  async tab() {
    return new Tab(await this.context.newPage());
  }

  /** The login cookies that the browser would send to `service`. */
  async loginCookies(service) {
    const cookies = await this.context.cookies(service.callback);
    return cookies.filter((cookie) => cookie.name.includes("lark-login-"));
  }

  /** Where pages were asked for: in this order, redirects included. */
  async went() {
    await this.#settled();
    return this.requests.filter((request) => request.isPage).map((request) => request.url);
  }

  async assertOnLoopbackOnly() {
    for (const url of await this.went()) {
      assert.match(new URL(url).hostname, LOOPBACK);
    }
  }

  /**
   * Nothing that the browser saw or said has one of the `secrets`, a token by its looks, or the verifier of an attempt's
   * code challenge.
   */
  async assertNoSecret(secrets) {
    await this.#settled();
    const seen = [...this.#texts, ...this.console];
    for (const text of seen) {
      for (const secret of secrets) {
        assert.ok(!text.includes(secret), `a secret is in ${text.replaceAll(secret, "…").slice(0, 200)}`);
      }
      assert.doesNotMatch(text, /\b(?:t|a|u|ur)-[\w-]{20,}/);
    }
    const all = seen.join("\n");
    const challenges = new Set([...all.matchAll(/code_challenge=([\w-]+)/g)].map((match) => match[1]));
    assert.ok(challenges.size > 0, "no login was begun");
    for (const [word] of all.matchAll(/[\w-]{43,128}/g)) {
      const challenge = createHash("sha256").update(word).digest("base64url");
      assert.ok(!challenges.has(challenge), "the code verifier was seen");
    }
  }

  async #request(request) {
    // Before waiting: what was asked stays in order.
    const entry = { url: request.url(), isPage: request.isNavigationRequest() };
    this.requests.push(entry);
    const headers = await request.allHeaders();
    entry.referer = headers.referer;
    this.#texts.push(request.url(), request.postData() ?? "", JSON.stringify(headers));
  }

  async #response(response) {
    this.#texts.push(JSON.stringify(await response.allHeaders()));
    const isRedirect = response.status() >= 300 && response.status() < 400;
    if (!isRedirect) this.#texts.push(await response.text());
  }

  async #settled() {
    await Promise.all(this.#pending);
  }
}

/** A tab, with a person in front of it. */
export class Tab {
  constructor(page) {
    this.page = page;
  }

  /** Goes to `url`; what came in the end. */
  async open(url) {
    return this.#arrived(await this.page.goto(url));
  }

  async reload() {
    return this.#arrived(await this.page.reload());
  }

  /** Follows the first link of the page, as people do who were sent one. */
  async follow() {
    return this.#click("a");
  }

  /** Decides at the platform's log-in page. */
  async decide(user, decision = "approve") {
    await this.page.fill("#user", String(user.n));
    return this.#click(`#${decision}`);
  }

  async #click(selector) {
    const { page } = this;
    const last = (response) => {
      const request = response.request();
      const isEnd = response.status() < 300 || response.status() >= 400;
      return isEnd && request.isNavigationRequest() && response.frame() === page.mainFrame();
    };
    const [response] = await Promise.all([page.waitForResponse(last), page.click(selector)]);
    await page.waitForURL((url) => url.href.split("#")[0] === response.url().split("#")[0]);
    return this.#arrived(response);
  }

  /** What a person sees. */
  async text() {
    return (await this.page.locator("body").innerText()).trim();
  }

  /** The addresses that "back" leads through, this one last. */
  async history() {
    const devtools = await this.page.context().newCDPSession(this.page);
    const { entries } = await devtools.send("Page.getNavigationHistory");
    await devtools.detach();
    return entries.map((entry) => entry.url).filter((url) => url !== "about:blank");
  }

  async #arrived(response) {
    return { status: response.status(), url: this.page.url(), text: await this.text() };
  }
}

/** The page that ends nothing: the callback was none of this browser's. */
export function assertRefused(seen, code = "login_invalid", status = 400) {
  assert.equal(seen.status, status, seen.text);
  assert.match(seen.text, new RegExp(`Code: ${code}\\.`));
}
