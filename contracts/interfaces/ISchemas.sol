// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice keccak256(abi.encode(chainId, schemas, registrant, SchemaTerms)): a schema is what was registered.
type SchemaId is bytes32;

/// @notice What a job schema fixes for all requests that use it.
/// @param release sha2-256 of the first release's manifest: service definition, worker and evaluator programs.
/// @param minimumDeposit Least that who ranks puts at stake for a request, base units; more than `challengeFee`.
/// @param challengeFee Least that a challenge costs, base units; at least 1.
/// @param rewardFunctions Reward functions that requests may use: bit 0 for the first of {RewardFunction}, Even, and so on.
/// @param nonce Tells schemas of one registrant apart that are the same otherwise.
struct SchemaTerms {
    bytes32 release;
    uint96 minimumDeposit;
    uint96 challengeFee;
    uint8 rewardFunctions;
    uint64 nonce;
}

/// @notice What is stored of a schema.
/// @param registrant Who registered it and releases new versions: a root.
/// @param minimumDeposit As in {SchemaTerms}.
/// @param challengeFee As in {SchemaTerms}.
/// @param releases Released so far; 0: there is no such schema.
/// @param rewardFunctions As in {SchemaTerms}.
/// @param release sha2-256 of the newest release's manifest.
struct Schema {
    address registrant;
    uint96 minimumDeposit;
    uint96 challengeFee;
    uint32 releases;
    uint8 rewardFunctions;
    bytes32 release;
}

/// @notice A node's place in a schema, in one slot.
/// @param parent Who approved it; zero for a root.
/// @param roles What it may do: {ADMIN}, {EVALUATOR}, {WORKER} together; 0: it is no member.
/// @param depth Steps up to the root when it was approved; never less than now.
/// @param dropped Its parent takes no responsibility for it any more.
/// @param droppedAt When it dropped a child last, seconds; 0: never.
struct Member {
    address parent;
    uint8 roles;
    uint8 depth;
    bool dropped;
    uint48 droppedAt;
}

/// @notice What a node applied for and was not approved for yet.
struct Application {
    address parent;
    uint8 roles;
}

/// @dev Approves nodes, and judges what evaluators below it ranked.
uint8 constant ADMIN = 1;
/// @dev Ranks results.
uint8 constant EVALUATOR = 2;
/// @dev Computes results.
uint8 constant WORKER = 4;
/// @dev All roles together: those of a root.
uint8 constant ALL_ROLES = ADMIN | EVALUATOR | WORKER;
/// @dev Reward functions there are: bits of {SchemaTerms.rewardFunctions}.
uint8 constant ALL_FUNCTIONS = 31;
/// @dev Steps from a node up to its root, at most.
uint8 constant MAX_DEPTH = 8;

/// @title Schemas: job schemas and who may work on them, in trees of who vouches for whom
/// @notice Whoever registers a schema is the root of its tree. A node applies to an admin, which tries it on test data and
/// approves it: from then on the admin is its *parent*. Anybody may start a tree of its own under the same schema: nothing
/// but a requester's choice makes one root better than another, so a request names the root it trusts.
///
/// A dropped node and all below it get no new work in that tree; what they accepted they finish, since a request keeps the
/// path of its judges from when it was accepted. A dropped node may be approved again by the same parent, or start a tree
/// of its own, and then all below it are in that tree.
/// @dev Holds no money. No owner, no pause. Who is approved says nothing to this contract: who trusts a root trusts it to
/// approve those that can do the work, and to have its admins do so.
///
/// INVARIANT S1: a member has the parent that first approved it, or, once it has started a tree, none: so from every member
/// the parents lead to a root, within {MAX_DEPTH} steps.
/// INVARIANT S2: a node has a role only by its own application and its parent's approval of just that, or as a root.
/// INVARIANT S3: an admin drops once in `dropInterval` at most, and only its own children.
/// INVARIANT S4: a path leads through no dropped node.
/// INVARIANT S5: a schema's terms never change, and only its registrant releases.
interface ISchemas {
    /// @notice A schema was registered; `registrant` is its first root.
    event JobRegistered(SchemaId indexed schema, address indexed registrant, SchemaTerms terms);
    /// @notice The `number`-th release of a schema, from 1: agents take it up between requests.
    event Released(SchemaId indexed schema, uint32 number, bytes32 release);
    /// @notice `node` asks `parent` to approve it. `qualification` is the content id of what shows that it can, for the parent
    /// to look at: the release's test data worked on or ranked. Zero: it shows nothing.
    event Applied(
        SchemaId indexed schema,
        address indexed node,
        address indexed parent,
        uint8 roles,
        bytes32 qualification
    );
    /// @notice `node` has `roles` now, all of them together.
    event Approved(SchemaId indexed schema, address indexed node, address indexed parent, uint8 roles);
    /// @notice `parent` takes no responsibility for `node` any more.
    event Dropped(SchemaId indexed schema, address indexed node, address indexed parent);
    /// @notice `node` is the root of a tree of its own.
    event RootStarted(SchemaId indexed schema, address indexed node);
    /// @notice What is sealed for `node` is sealed for this key from now on.
    event KeyPublished(address indexed node, bytes encryptionKey);

    /// @notice `field` is `actual`; least and most are what it may be.
    error TermOutOfRange(bytes32 field, uint256 actual, uint256 least, uint256 most);
    /// @notice Not a compressed secp256k1 point.
    error InvalidKey(bytes key);
    /// @notice Registered before.
    error SchemaExists(SchemaId schema);
    /// @notice Never registered.
    error UnknownSchema(SchemaId schema);
    /// @notice `caller` may not do this; `expected` may.
    error NotPermitted(address caller, address expected);
    /// @notice `node` has `actual` of the roles `required`.
    error RoleMissing(address node, uint8 actual, uint8 required);
    /// @notice `node` is below `parent` (zero: it is a root), and so cannot be below another, or have another's tree.
    error HasParent(address node, address parent);
    /// @notice `node` did not apply to `parent` for `roles`.
    error NotApplied(address node, address parent, uint8 roles);
    /// @notice `by` was dropped by its parent, so `node` gets no work in that tree.
    error CutOff(address node, address by);
    /// @notice `depth` steps below the root is too deep.
    error TooDeep(uint256 depth, uint256 most);
    /// @notice The admin dropped another at `droppedAt` and may drop again after `dropInterval`.
    error DroppedTooSoon(uint256 now_, uint256 least);

    /// @notice Least time between two drops by one admin, seconds.
    function dropInterval() external view returns (uint48);

    /// @notice The id that `registrant` gets for `terms`.
    function schemaId(address registrant, SchemaTerms calldata terms) external view returns (SchemaId);

    /// @notice What is stored of a schema.
    function schemaOf(SchemaId schema) external view returns (Schema memory);

    /// @notice sha2-256 of the newest release's manifest; zero: there is no such schema.
    function releaseOf(SchemaId schema) external view returns (bytes32);

    /// @notice A node's place in a schema.
    function memberOf(SchemaId schema, address node) external view returns (Member memory);

    /// @notice What a node applied for and was not approved for yet.
    function applicationOf(SchemaId schema, address node) external view returns (Application memory);

    /// @notice The admins above `node`, its parent first and its root last; empty for a root. Reverts unless `node` has all of
    /// `roles` and neither it nor anybody above it was dropped.
    function pathOf(SchemaId schema, address node, uint8 roles) external view returns (address[] memory path);

    /// @notice Registers a schema. The caller is its first root, with all roles.
    function registerJob(SchemaTerms calldata terms) external returns (SchemaId schema);

    /// @notice Names a new release. Requests that were posted keep theirs. By the registrant.
    function release(SchemaId schema, bytes32 release_) external;

    /// @notice Asks `parent` for `roles`: as somebody new, or for more roles by one whose parent it is, dropped or not. A later
    /// application takes the place of an earlier one.
    /// @param qualification Content id of what the applicant shows that it can; zero for none. The contract only tells of it.
    function applyJob(SchemaId schema, uint8 roles, address parent, bytes32 qualification) external;

    /// @notice Gives `node` the `roles` it applied to the caller for, besides those it has; one that was dropped is a member
    /// again. Names the roles, so that an application that changed meanwhile is not approved unseen.
    function approveNode(SchemaId schema, address node, uint8 roles) external;

    /// @notice Ends the responsibility for a child: it and all below it get no new work in this tree. What they accepted they
    /// finish.
    function drop(SchemaId schema, address node) external;

    /// @notice Makes the caller the root of a tree of its own, with all roles: somebody new, or one that was dropped.
    function startRoot(SchemaId schema) external;

    /// @notice Says which key to seal for: that of judges, which nothing else names.
    function publishKey(bytes calldata encryptionKey) external;
}
