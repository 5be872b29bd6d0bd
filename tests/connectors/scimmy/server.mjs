// SCIMMY, a SCIM service provider that is not ours, with a store in memory: node server.mjs PORT TOKEN
//
// What it does with a request is SCIMMY's; what is here is the store that its author leaves to us.
// /_store shows that store as it is, past SCIM; DELETE /_store empties it.
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const [port, token] = process.argv.slice(2);
const users = new Map();
const groups = new Map();
let last = 0;

function found(store, id) {
  const entry = store.get(id);
  if (!entry) throw new SCIMMY.Types.Error(404, null, `Resource ${id} not found`);
  return entry;
}

function memberships(id) {
  return [...groups.values()]
    .filter((group) => (group.members ?? []).some((member) => member.value === id))
    .map((group) => ({ value: group.id, display: group.displayName }));
}

function shown(user) {
  const joined = memberships(user.id);
  return joined.length ? { ...user, groups: joined } : { ...user };
}

function kept(store, resource, instance) {
  const id = resource.id ?? String(++last);
  const entry = { ...JSON.parse(JSON.stringify(instance)), id };
  delete entry.meta;
  delete entry.schemas;
  delete entry.groups;
  store.set(id, entry);
  return entry;
}

SCIMMY.Resources.declare(SCIMMY.Resources.User)
  .ingress((resource, instance) => {
    if (resource.id) found(users, resource.id);
    const name = String(instance.userName).toLowerCase();
    for (const user of users.values()) {
      if (user.id !== resource.id && user.userName.toLowerCase() === name) {
        throw new SCIMMY.Types.Error(409, "uniqueness", "userName is taken");
      }
    }
    return shown(kept(users, resource, instance));
  })
  .egress((resource) =>
    resource.id ? shown(found(users, resource.id)) : [...users.values()].map(shown))
  .degress((resource) => {
    found(users, resource.id);
    users.delete(resource.id);
  });

SCIMMY.Resources.declare(SCIMMY.Resources.Group)
  .ingress((resource, instance) => {
    if (resource.id) found(groups, resource.id);
    return { ...kept(groups, resource, instance) };
  })
  .egress((resource) =>
    resource.id ? { ...found(groups, resource.id) } : [...groups.values()])
  .degress((resource) => {
    found(groups, resource.id);
    groups.delete(resource.id);
  });

const app = express();
app.get("/_store", (_, response) =>
  response.send({ users: [...users.values()], groups: [...groups.values()] }));
app.delete("/_store", (_, response) => {
  users.clear();
  groups.clear();
  response.status(204).end();
});
app.use(new SCIMMYRouters({
  type: "bearer",
  handler: (request) => {
    if (request.header("Authorization") !== `Bearer ${token}`) throw new Error("not authorized");
    return "accountsync";
  },
}));
app.listen(Number(port), "127.0.0.1", () => console.log("listening"));
