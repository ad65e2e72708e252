#!/usr/bin/env bash
# Guess:    KubernetesObjectApi of the JavaScript client, which takes objects of any kind without generated types,
#           sends an object as it was given.
# Seen:     for kinds that the client knows it goes through the generated types all the same. Fields that are newer than
#           they are vanish when reading and when writing, without an error: version 1.3.0 (Kubernetes 1.33) loses
#           restartPolicyRules of an init container and hostnameOverride of a pod, which 1.4.0 keeps. Custom
#           resources keep everything.
# Versions: @kubernetes/client-node 1.3.0 and 1.4.0; Node 20.
# Date:     2026-11-30
# Hurt:     users of injectors, operators and rollout tools in JavaScript on a cluster newer than the tool: reading
#           a Deployment and replacing it erases such fields for good, for instance the rules by which a native
#           sidecar is restarted; the pods roll and behave otherwise than the file says.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >copy.mjs <<'JS'
import http from 'node:http';
import { KubeConfig, KubernetesObjectApi } from '@kubernetes/client-node';

const template = { spec: { hostnameOverride: 'web',
  initContainers: [{ name: 'proxy', restartPolicy: 'Always', restartPolicyRules: [{ action: 'Restart' }] }] } };
const kinds = { 'apps/v1': ['deployments', 'Deployment'], 'mesh.test/v1': ['meshes', 'Mesh'] };
const server = http.createServer(async (request, response) => {
  let body = '';
  for await (const part of request) body += part;
  const [, , group, version, ...rest] = request.url.split(/[/?]/);
  const apiVersion = `${group}/${version}`, [name, kind] = kinds[apiVersion];
  let answer = body || { apiVersion, kind, metadata: { name: 'web', namespace: 'shop' }, spec: { template } };
  if (rest.length === 0) answer = { kind: 'APIResourceList', groupVersion: apiVersion, resources: [{ name, kind, namespaced: true, verbs: [] }] };
  if (body) console.log(' ', request.method, kind, JSON.stringify(JSON.parse(body).spec.template.spec));
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const config = new KubeConfig();
const url = `http://127.0.0.1:${server.address().port}`;
config.loadFromClusterAndUser({ name: 'test', server: url, skipTLSVerify: true }, { name: 'test' });
const api = KubernetesObjectApi.makeApiClient(config);
for (const [apiVersion, [, kind]] of Object.entries(kinds))
  await api.replace(await api.read({ apiVersion, kind, metadata: { name: 'web', namespace: 'shop' } }));
server.close();
server.closeAllConnections();
JS
for version in 1.3.0 1.4.0; do
  echo "$version"
  mkdir "v$version"
  cp copy.mjs "v$version"
  (cd "v$version"
   npm init -y >/dev/null
   npm install --silent --no-audit --no-fund "@kubernetes/client-node@$version" >/dev/null
   timeout 60 node copy.mjs)
done >seen

cat >expected <<'TXT'
1.3.0
  PUT Deployment {"initContainers":[{"name":"proxy","restartPolicy":"Always"}]}
  PUT Mesh {"hostnameOverride":"web","initContainers":[{"name":"proxy","restartPolicy":"Always","restartPolicyRules":[{"action":"Restart"}]}]}
1.4.0
  PUT Deployment {"hostnameOverride":"web","initContainers":[{"name":"proxy","restartPolicy":"Always","restartPolicyRules":[{"action":"Restart"}]}]}
  PUT Mesh {"hostnameOverride":"web","initContainers":[{"name":"proxy","restartPolicy":"Always","restartPolicyRules":[{"action":"Restart"}]}]}
TXT
diff expected seen || { echo "This behaviour has changed."; exit 1; }
echo "Still as recorded."
