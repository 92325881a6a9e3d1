// Records what the npm package `loopback-workspace` answers to the requests of each case, in the case.
//
//   npm install --prefix /tmp/lbws loopback-workspace@5.3.0
//   node record.mjs /tmp/lbws [CASE...]
//
// A case is `cases/<name>.json`: a list of `{request, body?, status, answer, files, ours?}`, asked in this order of
// the project in `project/`. Written here are `status`, `answer` (JSON, or text) and `files`, what the request changed:
// text, or null where a file is gone. Status 0 says that the package does not answer: its code throws, or it hangs.
// Kept are `request`, `body` and `ours`: what we do otherwise, and why. Of an error, `stack` and a second copy of the
// status are left out.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const [install, ...names] = process.argv.slice(2);
const caseFile = name => join(here, 'cases', `${name}.json`);

function files(root, under = '') {
  return readdirSync(join(root, under), { withFileTypes: true }).flatMap(entry => {
    const path = under ? `${under}/${entry.name}` : entry.name;
    if (entry.name === 'node_modules') return [];
    return entry.isDirectory() ? files(root, path) : [[path, readFileSync(join(root, path), 'utf8')]];
  });
}

function changed(before, after) {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  return Object.fromEntries(
    names.filter(name => before.get(name) !== after.get(name)).map(name => [name, after.get(name) ?? null]));
}

function withoutStacks(value) {
  if (value === null || typeof value !== 'object') return;
  for (const error of [value.error, ...(value.error?.details?.length ? value.error.details : [])]) {
    delete error?.stack;
    delete error?.status;
  }
}

async function ask(origin, directory, { request, body }) {
  const [method, path] = request.split(' ');
  const options = { method, signal: AbortSignal.timeout(2000) };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { 'content-type': 'application/json' };
  }
  let response;
  try { response = await fetch(origin + path, options); } catch { return { status: 0, answer: '' }; }
  const text = (await response.text()).replaceAll(directory, '');
  let answer = text;
  try { answer = JSON.parse(text); } catch { /* an empty body, or a page */ }
  withoutStacks(answer);
  return { status: response.status, answer };
}

async function record(name) {
  const directory = mkdtempSync(join(tmpdir(), 'workspace-'));
  cpSync(join(here, 'project'), directory, { recursive: true });
  symlinkSync(join(install, 'node_modules'), join(directory, 'node_modules'));
  process.env.WORKSPACE_DIR = directory;
  process.on('uncaughtException', () => {});
  const app = createRequire(join(install, 'x.js'))('loopback-workspace');
  const server = app.listen(0);
  const origin = `http://127.0.0.1:${server.address().port}`;
  const recorded = [];
  let before = new Map(files(directory));
  for (const { request, body, ours } of JSON.parse(readFileSync(caseFile(name), 'utf8'))) {
    const { status, answer } = await ask(origin, directory, { request, body });
    const after = new Map(files(directory));
    recorded.push({ request, body, status, answer, files: changed(before, after), ours });
    before = after;
  }
  writeFileSync(caseFile(name), JSON.stringify(recorded, null, 1) + '\n');
  rmSync(directory, { recursive: true });
  process.exit(0);
}

if (process.env.RECORD_ONE) {
  await record(names[0]);
} else {
  const all = readdirSync(join(here, 'cases')).map(name => name.replace(/\.json$/, ''));
  for (const name of names.length ? names : all) {
    const env = { ...process.env, RECORD_ONE: '1', NODE_NO_WARNINGS: '1' };
    const args = [fileURLToPath(import.meta.url), install, name];
    const { status } = spawnSync(process.execPath, args, { env, stdio: 'ignore' });
    if (status !== 0) throw new Error(`${name}: ${status}`);
  }
}
