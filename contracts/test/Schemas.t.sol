// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ADMIN, ALL_FUNCTIONS, ALL_ROLES, ISchemas, MAX_DEPTH, Member, Schema, SchemaId, SchemaTerms} from "../interfaces/ISchemas.sol";
import {vm} from "./Vm.sol";

uint256 constant NODES = 14;
uint48 constant DROP_INTERVAL = 1_000;

/// @title Nodes of one schema that apply, approve, drop and start trees in any order
contract SchemaActors {
    ISchemas public immutable schemas;
    SchemaId public immutable schema;
    SchemaTerms private terms;
    address[] private nodes;
    /// @dev What these tests remember: roles given, first parent, whether it is a root, when it dropped last.
    mapping(address node => uint8) private given;
    mapping(address node => address) private firstParent;
    mapping(address node => bool) private isRoot;
    mapping(address node => uint256) private droppedAt;
    mapping(address node => bool) private isDropped;
    uint256 private releases = 1;
    uint256 private now_ = 1_800_000_000;
    uint256 public deepest;
    uint256 public cut;
    uint256 public roots;

    constructor() {
        vm.warp(now_);
        bytes memory code = bytes.concat(vm.getCode("contracts/Schemas.sol:Schemas"), abi.encode(DROP_INTERVAL));
        address made;
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
        }
        schemas = ISchemas(made);
        terms = SchemaTerms(keccak256("release"), 1_000, 100, ALL_FUNCTIONS, 0);
        for (uint160 i; i < NODES; ++i) {
            nodes.push(address(0x10 + i));
        }
        vm.prank(nodes[0]);
        schema = schemas.registerJob(terms);
        isRoot[nodes[0]] = true;
        given[nodes[0]] = ALL_ROLES;
    }

    // --- Moves -------------------------------------------------------------------------------------------------------

    function join(uint256 dice) external {
        address node = nodes[dice % NODES];
        address parent = nodes[(dice >> 8) % NODES];
        uint8 roles = uint8(1 + (dice >> 16) % 7);
        _apply(node, parent, roles);
        _approve(parent, node, (dice >> 24) % 8 == 0 ? roles ^ 1 : roles);
    }

    function applyJob(uint256 dice) external {
        _apply(nodes[dice % NODES], nodes[(dice >> 8) % NODES], uint8((dice >> 16) % 9));
    }

    function approve(uint256 dice) external {
        _approve(nodes[dice % NODES], nodes[(dice >> 8) % NODES], uint8((dice >> 16) % 9));
    }

    /// @notice Below somebody who is below somebody: trees get deep.
    function joinBelow(uint256 dice) external {
        for (uint256 i; i + 1 < NODES; ++i) {
            if ((dice >> (128 + i)) % 4 == 0) continue;
            _apply(nodes[i + 1], nodes[i], ALL_ROLES);
            _approve(nodes[i], nodes[i + 1], ALL_ROLES);
        }
    }

    function drop(uint256 dice) external {
        address child = nodes[dice % NODES];
        address by = (dice >> 8) % 4 == 0 ? nodes[(dice >> 16) % NODES] : firstParent[child];
        if (by == address(0)) return;
        vm.prank(by);
        try schemas.drop(schema, child) {
            require(firstParent[child] == by && !isRoot[child], "S3: dropped another's child");
            require(droppedAt[by] == 0 || now_ >= droppedAt[by] + DROP_INTERVAL, "S3: dropped too often");
            require(!isDropped[child], "S3: dropped twice");
            droppedAt[by] = now_;
            isDropped[child] = true;
        } catch {}
    }

    function startRoot(uint256 dice) external {
        address node = nodes[dice % NODES];
        vm.prank(node);
        try schemas.startRoot(schema) {
            require(given[node] == 0 || isDropped[node], "S1: left its parent");
            isRoot[node] = true;
            isDropped[node] = false;
            given[node] = ALL_ROLES;
            ++roots;
        } catch {}
    }

    function release(uint256 dice) external {
        address by = nodes[dice % NODES];
        vm.prank(by);
        try schemas.release(schema, bytes32(dice)) {
            require(by == nodes[0], "S5: released by another");
            ++releases;
        } catch {}
    }

    function pass(uint256 dice) external {
        now_ += dice % (2 * DROP_INTERVAL);
        vm.warp(now_);
    }

    // --- What must hold ----------------------------------------------------------------------------------------------

    function requireTrees() external {
        for (uint256 i; i < NODES; ++i) {
            address node = nodes[i];
            Member memory member = schemas.memberOf(schema, node);
            require(member.roles == given[node], "S2: other roles");
            require(member.parent == (isRoot[node] ? address(0) : firstParent[node]), "S1: another parent");
            require(member.dropped == isDropped[node], "S3: dropped or not");
            if (member.roles != 0) _requirePath(node);
        }
        Schema memory state = schemas.schemaOf(schema);
        require(
            state.registrant == nodes[0] && state.minimumDeposit == terms.minimumDeposit
                && state.challengeFee == terms.challengeFee && state.rewardFunctions == terms.rewardFunctions
                && state.releases == releases,
            "S5: other terms"
        );
    }

    /// @dev Walks up beside the contract.
    function _requirePath(address node) private {
        bool isCut;
        uint256 steps;
        address[] memory walked = new address[](NODES + 1);
        for (address current = node;; ++steps) {
            require(steps <= MAX_DEPTH, "S1: too deep, or in a circle");
            isCut = isCut || isDropped[current];
            if (isRoot[current]) break;
            current = firstParent[current];
            walked[steps] = current;
        }
        if (steps > deepest) deepest = steps;
        try schemas.pathOf(schema, node, given[node]) returns (address[] memory path) {
            require(!isCut, "S4: a path through somebody dropped");
            require(path.length == steps, "S1: another path");
            for (uint256 i; i < steps; ++i) {
                require(path[i] == walked[i], "S1: another path");
            }
        } catch {
            require(isCut, "S4: no path");
            ++cut;
        }
    }

    function _apply(address node, address parent, uint8 roles) private {
        vm.prank(node);
        try schemas.applyJob(schema, roles, parent, keccak256(abi.encode(roles, parent))) {
            require(given[node] == 0 || firstParent[node] == parent, "S1: applied to another");
        } catch {}
    }

    function _approve(address parent, address node, uint8 roles) private {
        vm.prank(parent);
        try schemas.approveNode(schema, node, roles) {
            require(given[parent] & ADMIN != 0 && !isDropped[parent], "S2: approved by who may not");
            if (given[node] == 0) firstParent[node] = parent;
            require(firstParent[node] == parent && !isRoot[node], "S1: another parent");
            given[node] |= roles;
            isDropped[node] = false;
        } catch {}
    }
}

/// @title What holds of trees after every move; the letters are those of {ISchemas}
contract SchemaInvariantsTest {
    SchemaActors private actors;

    function setUp() external {
        actors = new SchemaActors();
    }

    /// @dev Asked by the runner.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    function invariant_everyPathLeadsToARoot() external {
        actors.requireTrees();
    }

    /// @notice The actors are not idle: they come to the greatest depth, are cut off, and start trees.
    function test_reachesEveryEnd() external {
        for (uint256 i; i < 600; ++i) {
            uint256 dice = uint256(keccak256(abi.encode(i)));
            uint256 kind = dice % 7;
            dice >>= 8;
            if (kind == 0) actors.join(dice);
            else if (kind == 1) actors.joinBelow(dice);
            else if (kind == 2) actors.drop(dice);
            else if (kind == 3 && i > 400) actors.startRoot(dice);
            else if (kind == 4) actors.pass(dice);
            else if (kind == 5) actors.applyJob(dice);
            else actors.release(dice);
            actors.requireTrees();
        }
        require(actors.deepest() == MAX_DEPTH, "never at the greatest depth");
        require(actors.cut() != 0 && actors.roots() != 0, "never cut off, or no tree started");
    }
}
