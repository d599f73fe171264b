// A certified OpenID Connect provider (oidc-provider) with its defaults. By default, an ID token has
// only `sub`; all other claims come from the userinfo endpoint.
// usage: node provider.js '{"port": …, "client": {…}, "people": {"minji": {…}}}'

import { Provider } from "oidc-provider";

const { port, client, people } = JSON.parse(process.argv[2]);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [client],
  claims: { profile: ["name"], worksub: ["customer_id", "groups"] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
});
provider.listen(port, "127.0.0.1");
