import { h } from "./jsx";
import { Page } from "./page";

const planets = [
  { name: "Mercury", days: 88 },
  { name: "Venus", days: 225 },
  { name: "Earth", days: 365 },
  { name: "Mars", days: 687 },
];

const Planet = ({ name, days }: { name: string; days: number }) => (
  <li>
    {name} <span>{days} days</span>
  </li>
);

export default {
  fetch(): Response {
    const page = (
      <Page title="A year elsewhere">
        <h1>A year elsewhere</h1>
        <p>How long each planet takes around the sun. This page is JSX, rendered on the server.</p>
        <ul>
          {planets.map((planet) => (
            <Planet {...planet} />
          ))}
        </ul>
      </Page>
    );
    return new Response(`<!doctype html>${page}`, { headers: { "content-type": "text/html; charset=utf-8" } });
  },
};
