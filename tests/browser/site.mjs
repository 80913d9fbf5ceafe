// A small web site on loopback that remembers who asked it: an app's portal, or an attacker's page.

import { createServer } from "node:http";
import { once } from "node:events";

export class Site {
  #server;
  #pages = new Map();
  /** What was asked: `path` with its query, and `headers`. */
  visits = [];

  static async open() {
    const site = new Site();
    site.#server = createServer((request, response) => site.#answer(request, response));
    site.#server.listen(0, "127.0.0.1");
    await once(site.#server, "listening");
    return site;
  }

  async close() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  get origin() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  url(path) {
    return this.origin + path;
  }

  /** A page at `path`; without one every path shows a heading alone. */
  show(path, html) {
    this.#pages.set(path, html);
    return this.url(path);
  }

  visitsOf(path) {
    return this.visits.filter((visit) => visit.path.split("?")[0] === path);
  }

  #answer(request, response) {
    const path = request.url;
    this.visits.push({ path, headers: request.headers });
    const html = this.#pages.get(path.split("?")[0]) ?? "<h1>Here you are</h1>";
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
    response.end(`<!doctype html><title>A site</title><link rel="icon" href="data:,">${html}`);
  }
}
