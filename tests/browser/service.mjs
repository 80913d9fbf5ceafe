// A local host with the simulator inside, asked over HTTP as callers and operators ask it.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

const APP_ID = "cli_demo000001";
const READY_WITHIN_MS = 20_000;

/** A request that ends: 10 seconds, no redirect followed. */
const ask = (url, init = {}) => fetch(url, { redirect: "manual", signal: AbortSignal.timeout(10_000), ...init });

// Users of the directory, each for one test alone.
let lastUser = 100;

export class Service {
  appId = APP_ID;
  appSecret = "demo-secret-000001";

  static async ready({ origin, port, simulatorPort, dataDir }) {
    const service = new Service();
    // As browsers see it, and as we do, without TLS in between.
    service.origin = origin;
    service.local = `http://127.0.0.1:${port}`;
    service.simulator = `http://127.0.0.1:${simulatorPort}`;
    const deadline = Date.now() + READY_WITHIN_MS;
    for (;;) {
      const health = await ask(`${service.local}/health/ready`).catch((error) => ({ status: error.message }));
      if (health.status === 200) break;
      assert.ok(Date.now() < deadline, `${service.local} is not ready: ${health.status}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    service.key = (await readFile(`${dataDir}/simulated/api-key`, "utf8")).trim();
    return service;
  }

  get callback() {
    return `${this.origin}/v1/oauth/callback`;
  }

  /** The address that begins a login. */
  begin(parameters = {}) {
    return `${this.origin}/v1/oauth/authorize?${new URLSearchParams({ app_id: this.appId, ...parameters })}`;
  }

  async call(method, path, body) {
    const headers = { authorization: `Bearer ${this.key}`, "x-lark-app-id": this.appId };
    const response = await ask(this.local + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await response.text();
    return { status: response.status, body: text && JSON.parse(text) };
  }

  /** A page as a program gets it: status, headers, text. */
  async page(path) {
    const response = await ask(this.local + path, { headers: { accept: "text/html" } });
    return { status: response.status, headers: response.headers, text: await response.text() };
  }

  async setTargets(targets) {
    const { status, body } = await this.call("PATCH", `/v1/apps/${this.appId}`, { redirect_targets: targets });
    assert.equal(status, 200, JSON.stringify(body));
  }

  /** The number and ids of a user that no other test has. */
  async newUser() {
    lastUser += 1;
    return this.control("GET", `/users/${lastUser}?app_id=${this.appId}`);
  }

  /** The service's token of the user, after the platform has said that it is theirs. */
  async tokenOf(user) {
    const { status, body } = await this.call("GET", `/v1/tokens/user?open_id=${user.open_id}`);
    assert.equal(status, 200, JSON.stringify(body));
    const headers = { authorization: `Bearer ${body.token}` };
    const info = await (await ask(`${this.simulator}/open-apis/authen/v1/user_info`, { headers })).json();
    assert.equal(info.data?.open_id, user.open_id, JSON.stringify(info));
    return body.token;
  }

  async assertNoLogin(user) {
    const { status, body } = await this.call("GET", `/v1/tokens/user?open_id=${user.open_id}`);
    assert.deepEqual([status, body.code, body.reason], [409, "reauthorization_required", "not_logged_in"]);
  }

  /** Lets a user decide without a browser at the log-in page `consent`; the callback that the platform leads to. */
  async decide(consent, user, decision = "approve") {
    const body = new URLSearchParams({ user: user.n, decision });
    const response = await ask(consent, { method: "POST", body });
    assert.equal(response.status, 302, await response.text());
    return response.headers.get("location");
  }

  /** An attacker's beginning of a login, as a program: the log-in page's address and the cookie. */
  async beginAsProgram(parameters) {
    const response = await ask(this.begin(parameters).replace(this.origin, this.local));
    assert.equal(response.status, 302);
    return { consent: response.headers.get("location"), cookie: response.headers.get("set-cookie").split(";")[0] };
  }

  async registerCallback() {
    await this.control("PATCH", `/apps/${this.appId}`, { redirect_uris: [this.callback] });
  }

  /** A control of the simulator. */
  async control(method, path, body) {
    const response = await ask(`${this.simulator}/_sim${path}`, { method, body: body && JSON.stringify(body) });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
    return text && JSON.parse(text);
  }
}
