// Asks a page in headless Chromium: a question a line on standard input, an answer a line on standard output.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";

const [program, packages] = process.argv.slice(2);
const require = createRequire(`${packages}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox", "--no-zygote"] });
let page;
let pages;  // all of one context
let seen;

async function open(address, options) {
  await page?.context().close();
  const context = await browser.newContext({ offline: true, ...options });
  pages = [];
  seen = { console: [], requests: [], violations: [] };
  await tab(address, context);
}

// Open a further page that shares the cookies of the first one.
async function tab(address, context = page.context()) {
  page = await context.newPage();
  pages.push(page);
  page.setDefaultTimeout(20_000);
  page.on("console", (message) => seen.console.push(message.text()));
  page.on("pageerror", (error) => seen.console.push(String(error)));
  page.on("request", (request) => request.url().startsWith("data:") || seen.requests.push(request.url()));
  await page.exposeFunction("reportViolation", (text) => seen.violations.push(text));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => reportViolation(`${event.violatedDirective} ${event.sample}`));
  });
  await page.goto(address);
}

async function judged() {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run());
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 200)} ${node.failureSummary}`));
}

async function answer({ method, args }) {
  if (method === "open") return open(...args);
  if (method === "tab") return tab(...args);
  if (method === "turn") { page = pages[args[0]]; return page.bringToFront(); }
  if (method === "judged") return judged();
  if (method === "seen") return seen;
  const path = method.split(".");
  const last = path.pop();
  const on = path.reduce((object, name) => object[name], page);
  const result = await on[last](...args);
  return result instanceof Buffer ? result.toString("base64") : result;
}

const tooLate = () => new Promise((_, reject) => setTimeout(() => reject(new Error("no answer")), 30_000).unref());

console.log(JSON.stringify({ value: browser.version() }));
for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log(JSON.stringify({ value: (await Promise.race([answer(JSON.parse(line)), tooLate()])) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ failed: String(error) }));
  }
}
await browser.close();
