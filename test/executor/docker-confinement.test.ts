import { expect } from "chai";
import type { ContainerInspectInfo } from "dockerode";
import { connectEngine } from "../../agents/executor/docker/engine.ts";
import type { DockerExecutor } from "../../agents/executor/docker-executor.ts";
import {
  busyboxImage,
  engineSocket,
  needEngine,
  needRuntime,
  ownedBy,
  shell,
  taskLimits,
  testExecutor,
  testTask,
  type TestImage,
} from "../support/docker-engine.ts";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

describe("containers of tasks", function () {
  this.timeout(180_000);
  let image: TestImage;

  before(async function () {
    await needEngine(this);
    image = await busyboxImage({
      entries: [
        { name: "in", type: "directory" },
        { name: "out/from-image", bytes: new Uint8Array(1) },
      ],
      config: {
        User: "0",
        Env: ["PATH=/bin", "NVIDIA_VISIBLE_DEVICES=all"],
        Healthcheck: { Test: ["CMD", "/bin/true"] },
        OnBuild: ["RUN true"],
        Labels: { "surety.owner": "somebody" },
      },
    });
  });

  describe("in the engine", () => {
    let executor: DockerExecutor;
    let seen: ContainerInspectInfo;

    before(async () => {
      executor = testExecutor({ runtime: "runc", owner: "0123456789abcdef" });
      const looking: Promise<ContainerInspectInfo>[] = [];
      const limits = { ...taskLimits, cpus: 2, processes: 7, diskBytes: 5000, outputBytes: 10_000, files: 3 };
      await executor.run(testTask(image.program(shell("sleep 1")), { limits }), {
        watch: ({ id, pid }) => {
          expect(pid).to.be.above(1);
          looking.push(connectEngine({ socket: engineSocket }).getContainer(id).inspect());
          return { ended: () => undefined };
        },
      });
      seen = (await looking[0])!;
      await executor.close();
    });

    it("run as nobody, without privileges, network, devices or namespaces of the host", () => {
      const { Config, HostConfig } = seen;
      expect(Config.User).to.equal("65534:65534");
      expect(HostConfig).to.deep.include({
        NetworkMode: "none",
        IpcMode: "none",
        PidMode: "",
        UsernsMode: "",
        Privileged: false,
        ReadonlyRootfs: true,
        CapAdd: null,
        CapDrop: ["ALL"],
        Devices: null,
        DeviceRequests: null,
        Binds: null,
        Runtime: "runc",
        Init: true,
      });
      const [first, second] = HostConfig.SecurityOpt!;
      expect(first).to.equal("no-new-privileges");
      expect(JSON.parse(second!.replace("seccomp=", ""))).to.include({ defaultAction: "SCMP_ACT_ERRNO" });
      expect(HostConfig).to.have.property("MaskedPaths").that.includes.members(["/proc/kcore", "/sys/firmware"]);
      expect(HostConfig).to.have.property("ReadonlyPaths").that.includes.members(["/proc/sys", "/proc/irq"]);
    });

    it("have a limit for everything", () => {
      const { HostConfig } = seen;
      const memory = taskLimits.memoryBytes + (3 + 4) * 4096 + 2 * 4096;
      expect(HostConfig).to.deep.include({
        Memory: memory,
        MemorySwap: memory,
        NanoCpus: 2e9,
        PidsLimit: 8,
        RestartPolicy: { Name: "no", MaximumRetryCount: 0 },
        LogConfig: { Type: "none", Config: {} },
        Tmpfs: { "/tmp": "rw,noexec,nosuid,nodev,size=8192,nr_inodes=5,mode=1777,uid=65534,gid=65534" },
      });
      expect(HostConfig.Ulimits).to.deep.include.members([
        { Name: "core", Soft: 0, Hard: 0 },
        { Name: "fsize", Soft: 14_096, Hard: 14_096 },
        { Name: "nofile", Soft: 4096, Hard: 4096 },
      ]);
    });

    it("mount nothing but the input, read-only, and the output", () => {
      const mounts = seen.Mounts.map(({ Destination, RW, Type }) => ({ Destination, RW, Type }));
      expect(mounts).to.have.deep.members([
        { Destination: "/in", RW: false, Type: "volume" },
        { Destination: "/out", RW: true, Type: "volume" },
      ]);
    });

    it("carry this agent's name, whatever the image says, and run no health check of it", () => {
      expect(seen.Config.Labels).to.include({ "surety.owner": "0123456789abcdef", "surety.part": "program" });
      expect(seen.Config.Healthcheck?.Test).to.deep.equal(["NONE"]);
    });
  });

  for (const runtime of ["runc", "runsc"] as const) {
    describe(`from inside (${runtime})`, () => {
      let executor: DockerExecutor;
      const script = async (lines: string, changes: Parameters<typeof testTask>[1] = {}) =>
        executor.run(testTask(image.program(shell(lines)), changes));

      before(async function () {
        if (runtime === "runsc") await needRuntime(this, runtime);
        executor = testExecutor({ runtime });
      });

      after(() => executor?.close());

      it("are the same everywhere: user, names, clock, locale, and nothing of the agent's", async () => {
        process.env["SURETY_TEST_SECRET"] = "secret";
        const { exit, stdout } = await script("id -u; id -g; hostname; env | sort; date +%Z; cat /etc/resolv.conf");
        delete process.env["SURETY_TEST_SECRET"];
        expect(exit).to.deep.equal({ code: 0 });
        const lines = text(stdout).split("\n");
        expect(lines.slice(0, 3)).to.deep.equal(["65534", "65534", "surety"]);
        expect(lines).to.include.members(["HOME=/tmp", "LC_ALL=C.UTF-8", "TZ=UTC", "NVIDIA_VISIBLE_DEVICES=void"]);
        expect(lines).to.include("UTC");
        expect(text(stdout)).not.to.match(/SURETY_TEST|nameserver/);
      });

      it("read their input, which they cannot change, and the arguments with the task's number", async () => {
        const input = new Map([
          ["b", Buffer.from("two")],
          ["a/deep/file", Buffer.from("one")],
        ]);
        const program = image.program(["/bin/sh", "-c", 'cat /in/a/deep/file /in/b; echo "$0"; echo x > /in/b']);
        const { exit, stdout, stderr } = await executor.run(
          testTask(program, { input, args: ["--part={index}"], index: 7 }),
        );
        expect(text(stdout)).to.equal("onetwo--part=7\n");
        expect(text(stderr)).to.match(/Read-only file system|Permission denied/);
        expect(exit).to.deep.equal({ code: 1 });
      });

      it("write only where they may, and what they wrote there is the output", async () => {
        const tries = ["/", "/bin", "/etc", "/dev", "/in", "/proc/sys/kernel", "/sys"];
        const { exit, stdout, files } = await script(
          `for place in ${tries.join(" ")}; do echo x > $place/new && echo "wrote $place"; done 2>/dev/null
           mkdir -p /out/z/empty /out/a; printf 1 > /out/z/1; printf 2 > /out/a/2; printf 3 > /out/3; printf t > /tmp/t
           cat /tmp/t; ls /out`,
        );
        expect(exit).to.deep.equal({ code: 0 });
        expect(text(stdout)).to.equal("t3\na\nz\n");
        expect([...files].map(([path, bytes]) => [path, text(bytes)])).to.deep.equal([
          ["3", "3"],
          ["a/2", "2"],
          ["z/1", "1"],
        ]);
      });

      it("cannot run what they write to the scratch folder", async () => {
        const { stdout } = await script("cp /bin/busybox /tmp/true; chmod +x /tmp/true; /tmp/true && echo ran", {
          limits: { ...taskLimits, diskBytes: 8 * 2 ** 20, outputBytes: 8 * 2 ** 20 },
        });
        expect(text(stdout)).to.equal("");
      });

      it("reach no network", async () => {
        const { stdout } = await script(
          "ip -o link | grep -v ' lo'; nc -w 2 169.254.169.254 80 && echo reached; nc -w 2 127.0.0.1 2375 && echo local",
        );
        expect(text(stdout)).not.to.match(/reached|local|eth/);
      });

      it("leave nothing in the engine", async () => {
        const owner = `fedcba98765432${runtime}`;
        const other = testExecutor({ runtime, owner });
        await other.run(testTask(image.program(shell("echo done"))));
        expect(await ownedBy(owner)).to.deep.equal([]);
        await other.close();
      });
    });
  }
});
