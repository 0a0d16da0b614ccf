import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { parse } from "yaml";
import { readComputeConfig, readRequesterConfig } from "../../agents/config.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): string => readFileSync(`${root}/${path}`, "utf8");
const page = read("docs/operating.md");

interface Service {
  read_only?: boolean;
  cap_drop?: string[];
  security_opt?: string[];
  stop_grace_period?: string;
  ports?: string[];
}

describe("files for operators", () => {
  it("have examples that are configurations, and give agents time to drain", async () => {
    const compute = await readComputeConfig(`${root}/deploy/docker/config/compute.example.yaml`);
    const requester = await readRequesterConfig(`${root}/deploy/docker/config/requester.example.yaml`);
    const { services } = parse(read("deploy/docker/compose.yaml"), { merge: true }) as {
      services: Record<string, Service>;
    };
    for (const [name, { drainSeconds, monitoring }] of Object.entries({ compute, requester })) {
      expect(parseInt(services[name]!.stop_grace_period!, 10)).to.be.above(drainSeconds);
      // Where compose and Prometheus ask.
      expect(monitoring?.listen).to.match(/:9464$/);
    }
  });

  it("let no service of compose gain rights, and no agent keep any", () => {
    const { services } = parse(read("deploy/docker/compose.yaml"), { merge: true }) as {
      services: Record<string, Service>;
    };
    for (const [name, service] of Object.entries(services)) {
      expect(service.security_opt, name).to.include("no-new-privileges:true");
      if (name === "kubo") continue;
      expect(service.read_only, name).to.equal(true);
      expect(service.cap_drop, name).to.deep.equal(["ALL"]);
      for (const port of service.ports ?? []) expect(port, name).to.match(/^127\.0\.0\.1:/);
    }
  });

  for (const agent of ["compute", "requester"]) {
    it(`confine the ${agent}'s service, and give it time to drain`, () => {
      const settings = new Map(
        [...read(`deploy/systemd/surety-${agent}.service`).matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [
          name,
          value,
        ]),
      );
      for (const name of ["NoNewPrivileges", "ProtectHome", "PrivateDevices", "RestrictNamespaces"]) {
        expect(settings.get(name), name).to.equal("yes");
      }
      expect(settings.get("ProtectSystem")).to.equal("strict");
      expect(settings.get("CapabilityBoundingSet")).to.equal("");
      expect(settings.get("User")).to.equal("surety");
      expect(settings.get("LoadCredential")).to.equal(`key:/etc/surety/${agent}.key`);
      expect(settings.get("StateDirectory")).to.equal(`surety/${agent}`);
      expect(settings.get("ExecStart")).to.match(
        new RegExp(`main\\.ts ${agent} --config /etc/surety/${agent}\\.yaml$`),
      );
      // More than the default of drainSeconds.
      expect(Number(settings.get("TimeoutStopSec"))).to.be.above(30);
    });
  }

  it("raise alerts about metrics that there are, each of which the page says something about", () => {
    const { groups } = parse(read("deploy/docker/alerts.yml")) as {
      groups: { rules: { alert: string; expr: string }[] }[];
    };
    for (const { alert, expr } of groups.flatMap(({ rules }) => rules)) {
      expect(page, alert).to.include(`\`${alert}\``);
      for (const [name] of expr.matchAll(/surety_\w+/g)) expect(page, `${alert}: ${name}`).to.include(`\`${name}\``);
    }
  });

  it("explain no error that nothing ends with", () => {
    const sources = globSync("{agents,sdk/src,deploy}/**/*.ts", { cwd: root }).map(read).join("\n");
    const [, table = ""] = page.split("| code | what it means | what to do |");
    const codes = [...table.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)].map(([, code]) => code!);
    expect(codes.length).to.be.above(30);
    expect(codes.filter((code) => !sources.includes(`"${code}"`))).to.deep.equal([]);
  });
});
