// A customer's program that uses the types generated from docs/openapi.json and prints results.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const api = createClient<paths>({
  baseUrl: process.env.API_URL,
  headers: { Authorization: `Bearer ${process.env.API_KEY}` },
});
const idempotent = (key: string) => ({ header: { "Idempotency-Key": key } });

// A group name is a complete account name; the property of the other kind is not required.
const account: components["schemas"]["AccountName"] = { group: process.env.GROUP ?? "" };

const catalogue = await api.GET("/v1/catalogue");
if (!catalogue.data) throw new Error(catalogue.error.code);
const terms = catalogue.data.terms.map(({ id, version }) => ({ id, version }));
const body: components["schemas"]["RequestBody"] = {
  region: "KR",
  platform: "VPC",
  plan: "basic",
  members: 10,
  agreed_terms: terms,
  account,
  admin_id: "admin",
  password_hash: process.env.PASSWORD_HASH ?? "",
  company_name: "Acme Korea",
  company_phone: "02-1234-5678",
};
const made = await api.POST("/v1/subscriptions", { params: idempotent("order-1"), body });
if (!made.data) throw new Error(made.error.code);
const path = { subscription_id: made.data.subscription_id };
const date = process.env.DATE ?? "";

const quote = await api.GET("/v1/subscriptions/{subscription_id}/quote", {
  params: { path, query: { of: "switch", on: date, term: "ANNUAL" } },
});
if (!quote.data) throw new Error(quote.error.code);
// `kind` discriminates the union: only a change has a contract.
const monthly = quote.data.kind === "CHANGE" ? quote.data.monthly : quote.data.penalty;

const switched = await api.POST("/v1/subscriptions/{subscription_id}/switch-to-paid", {
  params: { path, ...idempotent("order-2") },
  body: { date, term: "ANNUAL" },
});
if (!switched.data) throw new Error(switched.error.code);
const status = await api.GET("/v1/subscriptions/{subscription_id}", { params: { path } });
const reservation = status.data?.reservation;
const listed = await api.GET("/v1/subscriptions", { params: { query: { reservation: "SWITCH_TO_PAID" } } });
const events = await api.GET("/v1/events", { params: { query: { after: 0 } } });
const refused = await api.POST("/v1/subscriptions/{subscription_id}/cancel", {
  params: { path, ...idempotent("order-3") },
  body: { date, confirmation: "nobody@nowhere" },
});
const code: components["schemas"]["ErrorCode"] | undefined = refused.error?.code;

console.log(
  JSON.stringify({
    subscription_id: path.subscription_id,
    monthly,
    state: status.data?.state,
    reserved: reservation?.kind === "SWITCH_TO_PAID" ? reservation.plan : null,
    listed: listed.data?.items.map((each) => each.subscription_id),
    events: events.data?.items.map((each) => each.event),
    code,
  }),
);
